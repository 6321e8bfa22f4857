//! `jsb inbox list`

use chrono::{DateTime, Utc};
use jsb_runtime::operate::inbox::{self, Event, Filter, Reason, Status};

use crate::exit::Exit;
use crate::settings::Settings;
use crate::terminal::{Terminal, cut, table};
use crate::times;

/// Which events are listed.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only these: processed, failed, parked or dead
    #[arg(long)]
    status: Option<Status>,
    /// Only those of this resource
    #[arg(long)]
    resource: Option<String>,
    /// Only those that are parked or dead for this reason
    #[arg(long)]
    reason: Option<Reason>,
    /// Only those received since then: 2h, or 2026-11-21T20:00:00Z
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
    let (config, db) = (settings.config()?, settings.database().await?);
    let filter = Filter { status: args.status, resource: args.resource, reason: args.reason, since: args.since };
    let events = match args.oldest {
        true => inbox::oldest(&db, &config, &filter, args.limit.into()).await?,
        false => inbox::newest(&db, &config, &filter, args.limit.into()).await?,
    };
    terminal.show(&events, |events| human(events))?;
    Ok(Exit::Done)
}

fn human(events: &[Event]) -> String {
    let row = |event: &Event| {
        [
            event.event_id.clone(),
            event.row().unwrap_or_default(),
            event.event_type.clone(),
            event.status.clone(),
            event.reason.clone().unwrap_or_default(),
            event.waits_for.clone().unwrap_or_default(),
            times::short(event.received_at),
            event.available_at.map(times::short).unwrap_or_default(),
            event.parked_until.map(times::short).unwrap_or_default(),
            event.attempts.to_string(),
            event.last_error.as_deref().map(cut).unwrap_or_default(),
        ]
    };
    let header = [
        "event",
        "row",
        "type",
        "status",
        "reason",
        "waits for",
        "received",
        "tried next",
        "parked until",
        "attempts",
        "last error",
    ];
    table(header, events.iter().map(row).collect(), "No such events.")
}
