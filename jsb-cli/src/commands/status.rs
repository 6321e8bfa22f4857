//! `jsb status`: how far events have come.

use jsb_runtime::Status;

use crate::exit::Exit;
use crate::settings::Settings;
use crate::terminal::{Terminal, table};

/// What `status` was given.
#[derive(clap::Args)]
pub struct Args {}

pub(crate) async fn run(_: Args, settings: &Settings, terminal: &Terminal) -> anyhow::Result<Exit> {
    let _config = settings.config()?;
    let db = settings.database().await?;
    let status = jsb_runtime::operate::tables(&db).await?;
    terminal.show(&status, human)?;
    Ok(Exit::Done)
}

fn human(status: &Status) -> String {
    let rows = vec![
        ["outbox".to_owned(), "pending".to_owned(), status.pending_events.to_string()],
        ["outbox".to_owned(), "failed".to_owned(), status.unpublishable_events.to_string()],
    ];
    table(["table", "status", "events"], rows, "")
}
