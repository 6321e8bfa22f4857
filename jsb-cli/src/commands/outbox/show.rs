//! `jsb outbox show`

use anyhow::Context as _;
use jsb_runtime::operate::outbox::{self, Details};

use crate::exit::Exit;
use crate::settings::Settings;
use crate::terminal::{Terminal, facts, pretty};
use crate::times;

/// Which event is shown.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Its id
    event_id: String,
}

pub(super) async fn run(args: Args, settings: &Settings, terminal: &Terminal) -> anyhow::Result<Exit> {
    let db = settings.database().await?;
    let found = outbox::show(&db, &args.event_id).await?;
    let details = found.with_context(|| format!("there is no event {} in the outbox", args.event_id))?;
    terminal.show(&details, human)?;
    Ok(Exit::Done)
}

fn human(details: &Details) -> String {
    let event = &details.event;
    let waits = event.status == "pending" && event.attempts > 0;
    facts([
        ("event", Some(event.event_id.clone())),
        ("row", Some(event.row())),
        ("type", Some(event.event_type.clone())),
        ("status", Some(event.status.clone())),
        ("attempts", Some(event.attempts.to_string())),
        ("last error", event.last_error.clone()),
        ("recorded", Some(times::full(event.created_at))),
        ("tried next", waits.then(|| times::full(event.available_at))),
        ("sent", event.sent_at.map(times::full)),
        ("headers", Some(details.headers.to_string())),
        ("payload", Some(format!("\n{}", pretty(&details.payload)))),
    ])
}
