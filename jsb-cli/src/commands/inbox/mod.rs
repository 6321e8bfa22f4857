//! `jsb inbox`: events that came in.

mod discard;
mod list;
mod prune;
mod retry;
mod show;

use clap::Subcommand;

use crate::exit::Exit;
use crate::settings::Settings;
use crate::terminal::Terminal;

/// What can be done with the inbox.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// List events, the newest last
    List(list::Args),
    /// Show an event with its body
    Show(show::Args),
    /// Have events tried again that failed, wait, or are dead (a dead one's letter in the DLQ stays)
    Retry(retry::Args),
    /// Give up dead events
    Discard(discard::Args),
    /// Delete events that are processed or dead
    Prune(prune::Args),
}

pub(super) async fn run(command: Command, settings: &Settings, terminal: &Terminal) -> anyhow::Result<Exit> {
    match command {
        Command::List(args) => list::run(args, settings, terminal).await,
        Command::Show(args) => show::run(args, settings, terminal).await,
        Command::Retry(args) => retry::run(args, settings, terminal).await,
        Command::Discard(args) => discard::run(args, settings, terminal).await,
        Command::Prune(args) => prune::run(args, settings, terminal).await,
    }
}
