//! `jsb dlq sweep`

use jsb_runtime::operate::{Connection, Swept};

use crate::exit::Exit;
use crate::settings::Settings;
use crate::terminal::{Terminal, events};

/// Nothing is to be said.
#[derive(clap::Args)]
pub struct Args {}

pub(super) async fn run(
    _: Args,
    connection: &Connection,
    settings: &Settings,
    terminal: &Terminal,
) -> anyhow::Result<Exit> {
    let db = settings.database().await?;
    let bar = terminal.progress("looked at", None);
    let swept = connection.sweep(&db, |behind, all| {
        bar.set_length(all);
        bar.set_position(behind);
    });
    let swept = swept.await;
    bar.finish_and_clear();
    terminal.show(&swept?, human)?;
    Ok(Exit::Done)
}

fn human(swept: &Swept) -> String {
    let then = if swept.found > 0 { " The running consumer takes them up within seconds." } else { "" };
    format!("{} looked at, {} found and due in the inbox.{then}", events(swept.looked_at), swept.found)
}
