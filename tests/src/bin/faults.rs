//! The fault harness for as long as one likes: see `tests/README.md`.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use clap::builder::PossibleValuesParser;
use jsb_tests::faults::fault::KINDS;
use jsb_tests::faults::{OurStage, Plan, Terrain, run};
use jsb_tests::programs::beside_us;

/// Breaks two systems in every way that a seed says, and compares them.
#[derive(Parser)]
struct Arguments {
    /// The seed of the first run; the next ones have the numbers after it. Random, if not given.
    #[arg(long)]
    seed: Option<u64>,
    /// How long to go on with runs, such as 30s, 10m or 1h.
    #[arg(long = "for", default_value = "10m", value_parser = humantime::parse_duration)]
    length: Duration,
    /// How long faults happen in each run.
    #[arg(long, default_value = "60s", value_parser = humantime::parse_duration)]
    each: Duration,
    /// plain, cluster, mixed or sqlite; one after the other, if not given.
    #[arg(long)]
    terrain: Option<Terrain>,
    /// Fills the disks of PostgreSQL too. Needs root, since it mounts small file systems.
    #[arg(long)]
    small_disks: bool,
    /// Lets only faults of this kind happen; may be given several times.
    #[arg(long, value_parser = PossibleValuesParser::new(KINDS))]
    only: Vec<String>,
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    let stage = OurStage { program: beside_us("faults-actor")?, older: beside_us("faults-older")? };
    let first = arguments.seed.unwrap_or_else(|| u64::from(rand::random::<u32>()));
    let began = Instant::now();
    let (mut runs, mut unclean) = (0, Vec::new());
    while began.elapsed() < arguments.length {
        let seed = first.wrapping_add(runs);
        let terrain = arguments.terrain.unwrap_or_else(|| Terrain::of(seed));
        let plan = Plan {
            small_disks: arguments.small_disks,
            only: arguments.only.clone(),
            ..Plan::new(seed, terrain, arguments.each)
        };
        let report = tokio::select! {
            report = run(&stage, plan) => report?,
            // Dropped, the run ends its processes and servers, and unmounts its disks.
            interrupted = tokio::signal::ctrl_c() => return interrupted.map(|()| ExitCode::FAILURE).map_err(Into::into),
        };
        eprintln!("{report}\n");
        if !report.is_clean() {
            unclean.push(seed);
        }
        runs += 1;
    }
    eprintln!("{runs} run(s) from seed {first}; not clean: {unclean:?}");
    Ok(if unclean.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
