//! `jsb outbox republish`

use chrono::{DateTime, Utc};
use jsb_runtime::operate::{outbox, republish};
use serde_json::json;

use crate::exit::Exit;
use crate::settings::Settings;
use crate::terminal::{Terminal, events};
use crate::times;

/// Which events are published again.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Those sent since then: 2h, or 2026-11-21T20:00:00Z
    #[arg(long, value_parser = times::instant)]
    since: DateTime<Utc>,
    /// Only those of this resource
    #[arg(long)]
    resource: Option<String>,
}

pub(super) async fn run(args: Args, settings: &Settings, terminal: &Terminal) -> anyhow::Result<Exit> {
    let db = settings.database().await?;
    let resource = args.resource.as_deref();
    let found = outbox::sent_since(&db, args.since, resource).await?;
    let question = format!(
        "Publish {} of {} sent since {} again? The relay stands still for some seconds, and the other side ignores what it has.",
        events(found),
        settings.app()?,
        times::short(args.since)
    );
    if found > 0 && !terminal.confirms(&question)? {
        return Ok(Exit::Declined);
    }
    let republished = match found {
        0 => 0,
        found => {
            let bar = terminal.progress("pending again", Some(found));
            let outcome = republish(&db, args.since, resource, |republished| bar.set_position(republished)).await;
            bar.finish_and_clear();
            outcome?
        }
    };
    terminal.show(&json!({"republished": republished}), |_| {
        format!("{} pending again; the relay publishes what is pending.", events(republished))
    })?;
    Ok(Exit::Done)
}
