//! `jsb outbox list`

use chrono::{DateTime, Utc};
use jsb_runtime::operate::outbox::{self, Event, Filter, Status};

use crate::exit::Exit;
use crate::settings::Settings;
use crate::terminal::{Terminal, cut, table};
use crate::times;

/// Which events are listed.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only these: pending, failed or sent
    #[arg(long)]
    status: Option<Status>,
    /// Only those of this resource
    #[arg(long)]
    resource: Option<String>,
    /// Only those recorded since then: 2h, or 2026-11-21T20:00:00Z
    #[arg(long, value_parser = times::instant)]
    since: Option<DateTime<Utc>>,
    /// The oldest ones rather than the newest
    #[arg(long)]
    oldest: bool,
    /// At most so many
    #[arg(long, default_value_t = 50)]
    limit: u32,
}

pub(super) async fn run(args: Args, settings: &Settings, terminal: &Terminal) -> anyhow::Result<Exit> {
    let db = settings.database().await?;
    let filter = Filter { status: args.status, resource: args.resource, since: args.since };
    let events = match args.oldest {
        true => outbox::oldest(&db, &filter, args.limit.into()).await?,
        false => outbox::newest(&db, &filter, args.limit.into()).await?,
    };
    terminal.show(&events, |events| human(events))?;
    Ok(Exit::Done)
}

fn human(events: &[Event]) -> String {
    let row = |event: &Event| {
        [
            event.event_id.clone(),
            event.row(),
            event.event_type.clone(),
            event.status.clone(),
            times::short(event.created_at),
            event.attempts.to_string(),
            event.last_error.as_deref().map(cut).unwrap_or_default(),
        ]
    };
    let header = ["event", "row", "type", "status", "recorded", "attempts", "last error"];
    table(header, events.iter().map(row).collect(), "No such events.")
}
