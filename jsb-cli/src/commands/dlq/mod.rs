//! `jsb dlq`: events that could not be applied.

mod list;
mod purge;
mod replay;
mod show;
mod sweep;

use clap::Subcommand;
use jsb_runtime::operate::Connection;
use jsb_runtime::operate::inbox::Reason;

use crate::exit::Exit;
use crate::settings::Settings;
use crate::terminal::{Terminal, note};

/// What can be done with dead letters.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// List letters, oldest first
    List(list::Args),
    /// Show a letter with its body and headers
    Show(show::Args),
    /// Bring events to the application once more, and delete their letters
    Replay(replay::Args),
    /// Look for events that the server has given up, and put them into the inbox
    Sweep(sweep::Args),
    /// Delete letters
    Purge(purge::Args),
}

pub(super) async fn run(command: Command, settings: &Settings, terminal: &Terminal) -> anyhow::Result<Exit> {
    let connection = Connection::open(settings.config()?).await?;
    let done = match command {
        Command::List(args) => list::run(args, &connection, terminal).await,
        Command::Show(args) => show::run(args, &connection, terminal).await,
        Command::Replay(args) => replay::run(args, &connection, settings, terminal).await,
        Command::Sweep(args) => sweep::run(args, &connection, settings, terminal).await,
        Command::Purge(args) => purge::run(args, &connection, settings, terminal).await,
    };
    connection.close().await;
    done
}

/// Says which of the letters that were named are not there.
fn note_missing(names: &[String]) {
    for name in names {
        note(format_args!("error: no letter has the sequence or the event id `{name}`"));
    }
}

/// Says of a reason that no letter has whether it may be misspelt. It is not refused, since letters that others wrote may have another.
fn doubt(reason: Option<&str>) {
    if let Some(Err(unknown)) = reason.map(str::parse::<Reason>) {
        note(format_args!("No letter matched, and to JSB {unknown}"));
    }
}
