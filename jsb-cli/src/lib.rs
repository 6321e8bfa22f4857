//! The operators' command line of JSB.
//!
//! The binary `jsb` knows the tables and the stream, but no application's entities. An application that makes the same
//! commands its own gets one that does, for example to say whether a newer version of a row makes a replay pointless:
//!
//! ```no_run
//! use std::process::ExitCode;
//!
//! // use my_entities as _; // so that they are linked and thus registered
//!
//! #[tokio::main]
//! async fn main() -> ExitCode {
//!     jsb_cli::main().await
//! }
//! ```
//!
//! [`Cli`] is an ordinary clap argument struct, so that it can also be one subcommand among others:
//!
//! ```
//! use clap::{Parser, Subcommand};
//!
//! #[derive(Parser)]
//! struct Program {
//!     #[command(subcommand)]
//!     command: Command,
//! }
//!
//! #[derive(Subcommand)]
//! enum Command {
//!     Serve,
//!     Jsb(jsb_cli::Cli),
//! }
//!
//! # async fn run(program: Program) -> std::process::ExitCode {
//! match program.command {
//!     Command::Serve => todo!("serve"),
//!     Command::Jsb(cli) => jsb_cli::run(cli).await,
//! }
//! # }
//! ```

#![warn(missing_debug_implementations)]

mod commands;
mod database;
mod exit;
mod nats_conf;
mod pairs;
mod secrets;
mod settings;
mod terminal;
mod times;

use std::error::Error;
use std::fmt;
use std::io::{IsTerminal as _, stderr};
use std::process::ExitCode;

use clap::{Args, Parser};
use sea_orm::RuntimeErr;
use tracing_subscriber::EnvFilter;

pub use commands::users_with_passwords;
pub use database::{connect_options, explained};
pub use exit::Exit;
pub use secrets::Secrets;

use commands::Command;
use settings::Settings;
use terminal::{Terminal, note};

/// What the command line was given.
#[derive(Args)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    settings: Settings,
    /// Print JSON, for programs
    #[arg(long, global = true)]
    json: bool,
    /// Ask nothing before something that cannot be undone
    #[arg(long, short, global = true)]
    yes: bool,
}

/// Shows nothing that was given: there may be passwords in it.
impl fmt::Debug for Cli {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cli").finish_non_exhaustive()
    }
}

/// Looks after the events of a bridge: provisions the stream, and lists, retries and replays what did not go through.
#[derive(Parser)]
#[command(name = "jsb", version)]
struct Program {
    #[command(flatten)]
    cli: Cli,
}

/// Reads the program's arguments, logs errors to standard error (`RUST_LOG` says otherwise), and runs the command.
pub async fn main() -> ExitCode {
    let program = Program::parse();
    log_to_stderr(LOG_FILTER);
    run(program.cli).await
}

/// Logs to standard error what `RUST_LOG` says, or else what `filter` says, such as [`LOG_FILTER`]. Call it once.
///
/// # Panics
///
/// When a logger was set before.
pub fn log_to_stderr(filter: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(filter));
    let ansi = stderr().is_terminal();
    // What it cannot log it would say by `eprintln!`, which panics.
    let log = tracing_subscriber::fmt().log_internal_errors(false);
    log.with_env_filter(filter).with_writer(stderr).with_ansi(ansi).init();
}

/// What a command logs unless `RUST_LOG` says otherwise: errors, but for those of the connection, which the command reports
/// itself.
pub const LOG_FILTER: &str = "error,jsb_runtime::jetstream=off,async_nats=off";

/// Runs one command; an error is printed to standard error. [`Exit`] lists the codes.
pub async fn run(cli: Cli) -> ExitCode {
    let terminal = Terminal::new(cli.json, cli.yes);
    match cli.command.run(&cli.settings, &terminal).await {
        Ok(exit) => exit.into(),
        Err(error) => {
            note(format_args!("error: {}", describe(&error)));
            Exit::Failed.into()
        }
    }
}

/// An error with all that caused it, in one line; many errors repeat their cause in their own text. Of a SQLite that is locked it
/// also says by whom.
pub fn describe(error: &anyhow::Error) -> String {
    let text = error.chain().map(ToString::to_string).fold(String::new(), |text, cause| match text.as_str() {
        "" => cause,
        text if text.contains(&cause) => text.to_owned(),
        text => format!("{text}: {cause}"),
    });
    match error.chain().any(is_locked) {
        true => format!("{text}: somebody has been writing for too long, perhaps a handler; try again once that ends"),
        false => text,
    }
}

/// Whether a statement waited for SQLite's only lock for writing until its time was up.
fn is_locked(cause: &(dyn Error + 'static)) -> bool {
    const BUSY: &str = "5";
    let Some(RuntimeErr::SqlxError(error)) = cause.downcast_ref() else { return false };
    error.as_database_error().and_then(|error| error.code()).is_some_and(|code| code == BUSY)
}
