//! System A, system B, or the pair of them on one machine.

mod api;
mod banner;
mod data;
mod database;
mod entities;
mod health;
mod http;
mod migration;
mod nats;
mod pair;
mod ports;
mod provision;
mod side;
mod signals;
mod system;
mod welcome;

use std::io::{Write as _, stderr};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use health::HealthArgs;
use pair::PairArgs;
use provision::ProvisionArgs;
use system::SystemArgs;

/// Two systems that keep their rows in sync over NATS JetStream. Without a command: the pair.
#[derive(Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    pair: PairArgs,
}

#[derive(Subcommand)]
enum Command {
    /// Both systems and a nats-server, with everything they need
    Pair(PairArgs),
    /// System A alone, which draws the odd ids
    SystemA(SystemArgs),
    /// System B alone, which draws the even ids
    SystemB(SystemArgs),
    /// Make the stream and both consumers, with an administrator's rights
    Provision(ProvisionArgs),
    /// Look after the events of a system: the operators' command line, with the demo's entities
    Jsb(jsb_cli::Cli),
    /// Asks a running system how it is, and fails if it is not well
    Health(HealthArgs),
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let command = cli.command.unwrap_or(Command::Pair(cli.pair));
    log_to_stderr(&command);
    match run(command).await {
        Ok(exit) => exit,
        Err(error) => {
            // For people, so without the backtrace that returning it would show.
            let _ = writeln!(stderr(), "error: {}", jsb_cli::describe(&error));
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Pair(args) => pair::run(args, signals::stop_token()?).await?,
        Command::SystemA(args) => system::run(side::A, args, signals::stop_token()?).await?,
        Command::SystemB(args) => system::run(side::B, args, signals::stop_token()?).await?,
        Command::Provision(args) => provision::run(args).await?,
        Command::Health(args) => health::run(args).await?,
        Command::Jsb(cli) => return Ok(jsb_cli::run(cli).await),
    }
    Ok(ExitCode::SUCCESS)
}

/// What to log is said by `RUST_LOG`.
fn log_to_stderr(command: &Command) {
    let filter = match command {
        Command::Jsb(_) => jsb_cli::LOG_FILTER,
        _ => "info,async_nats=warn,sea_orm_migration=warn,sqlx=warn",
    };
    jsb_cli::log_to_stderr(filter);
}
