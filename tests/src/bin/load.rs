//! The load harness: see `tests/README.md`.

use std::process::ExitCode;

use clap::Parser;
use jsb_tests::load::{Scenario, run};
use jsb_tests::programs::beside_us;

/// Puts two applications under load, measures them while they work, and compares them.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    scenario: Scenario,
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let Arguments { scenario } = Arguments::parse();
    let program = beside_us("load-actor")?;
    let problems = tokio::select! {
        problems = run(scenario, &program) => problems?,
        // Dropped, the run ends its processes and servers.
        interrupted = tokio::signal::ctrl_c() => return interrupted.map(|()| ExitCode::FAILURE).map_err(Into::into),
    };
    Ok(if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
