//! `jsb outbox`: events on their way out.

mod discard;
mod list;
mod process_pending;
mod prune;
mod republish;
mod retry;
mod show;

use clap::Subcommand;

use crate::exit::Exit;
use crate::settings::Settings;
use crate::terminal::Terminal;

/// What can be done with the outbox.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// List events, the newest last
    List(list::Args),
    /// Show an event with its payload
    Show(show::Args),
    /// Have failed events published again, and delayed ones at once
    Retry(retry::Args),
    /// Publish what is pending now, in this process
    ProcessPending(process_pending::Args),
    /// Publish sent events again, for a server that lost them
    Republish(republish::Args),
    /// Delete events that can never be published
    Discard(discard::Args),
    /// Delete sent events
    Prune(prune::Args),
}

pub(super) async fn run(command: Command, settings: &Settings, terminal: &Terminal) -> anyhow::Result<Exit> {
    match command {
        Command::List(args) => list::run(args, settings, terminal).await,
        Command::Show(args) => show::run(args, settings, terminal).await,
        Command::Retry(args) => retry::run(args, settings, terminal).await,
        Command::ProcessPending(args) => process_pending::run(args, settings, terminal).await,
        Command::Republish(args) => republish::run(args, settings, terminal).await,
        Command::Discard(args) => discard::run(args, settings, terminal).await,
        Command::Prune(args) => prune::run(args, settings, terminal).await,
    }
}
