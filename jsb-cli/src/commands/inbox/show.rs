//! `jsb inbox show`

use anyhow::Context as _;
use jsb_runtime::operate::inbox::{self, Details};

use crate::exit::Exit;
use crate::settings::Settings;
use crate::terminal::{Terminal, facts, pretty};
use crate::times;

/// Which event is shown.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Its id
    event_id: String,
    /// The app that published it; the other one of the pair, if not given
    #[arg(long)]
    source: Option<String>,
}

pub(super) async fn run(args: Args, settings: &Settings, terminal: &Terminal) -> anyhow::Result<Exit> {
    let (config, db) = (settings.config()?, settings.database().await?);
    let source = args.source.as_ref().unwrap_or(&config.destination_app);
    let found = inbox::show(&db, &config, source, &args.event_id).await?;
    let details = found.with_context(|| format!("there is no event {} of {source} in the inbox", args.event_id))?;
    terminal.show(&details, human)?;
    Ok(Exit::Done)
}

fn human(details: &Details) -> String {
    let event = &details.event;
    let (settled, before) = match event.status.as_str() {
        "processed" | "dead" => (event.processed_at, None),
        _ => (None, event.processed_at),
    };
    facts([
        ("event", Some(event.event_id.clone())),
        ("from", Some(event.source_app.clone())),
        ("row", event.row()),
        ("type", Some(event.event_type.clone())),
        ("status", Some(event.status.clone())),
        ("reason", event.reason.clone()),
        ("waits for", event.waits_for.clone()),
        ("attempts", Some(event.attempts.to_string())),
        ("starts", Some(event.starts.to_string())),
        ("last error", event.last_error.clone()),
        ("received", Some(times::full(event.received_at))),
        ("tried next", event.available_at.map(times::full)),
        ("parked until", event.parked_until.map(times::full)),
        ("failed", event.failed_at.map(times::full)),
        ("died before", before.map(times::full)),
        ("settled", settled.map(times::full)),
        ("subject", Some(details.subject.clone())),
        ("sequence", event.stream_seq.map(|sequence| sequence.to_string())),
        ("headers", Some(details.headers.to_string()).filter(|_| !details.headers.is_null())),
        ("body", details.payload.as_ref().map(|payload| format!("\n{}", pretty(payload)))),
    ])
}
