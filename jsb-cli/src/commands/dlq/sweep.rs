//! `jsb dlq sweep`

use chrono::{DateTime, Utc};
use jsb_runtime::operate::{Connection, Swept};

use crate::exit::Exit;
use crate::settings::Settings;
use crate::terminal::{Terminal, events};
use crate::times;

/// How far back it looks.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only what came since then: 2h, or 2026-11-21T20:00:00Z
    #[arg(long, value_parser = times::instant)]
    since: Option<DateTime<Utc>>,
}

pub(super) async fn run(
    args: Args,
    connection: &Connection,
    settings: &Settings,
    terminal: &Terminal,
) -> anyhow::Result<Exit> {
    let db = settings.database().await?;
    let bar = terminal.progress("looked at", None);
    let swept = connection.sweep(&db, args.since, |behind, all| {
        bar.set_length(all);
        bar.set_position(behind);
    });
    let swept = swept.await;
    bar.finish_and_clear();
    terminal.show(&swept?, human)?;
    Ok(Exit::Done)
}

fn human(swept: &Swept) -> String {
    let mut text = format!("{} looked at, {} found and due in the inbox.", events(swept.looked_at), swept.found);
    if swept.found > 0 {
        text += " A running consumer takes them up within seconds.";
    }
    if swept.in_hand > 0 {
        text += &format!(
            "\nThe consumer has {} in hand: of what came after the oldest of them, only what is older than ten minutes was \
             looked at.",
            events(swept.in_hand)
        );
    }
    text
}
