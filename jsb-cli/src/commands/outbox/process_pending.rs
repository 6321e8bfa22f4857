//! `jsb outbox process-pending`

use std::time::Duration;

use jsb_runtime::operate::outbox::{self, Filter, Status};
use jsb_runtime::operate::{Drained, process_pending};

use crate::exit::Exit;
use crate::settings::Settings;
use crate::terminal::{Terminal, events, note};
use crate::times;

/// How many of those that are left are named.
const NAMED: u64 = 10;

/// How long it may take.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Give up after this time
    #[arg(long, value_parser = times::duration, default_value = "60s")]
    timeout: Duration,
}

pub(super) async fn run(args: Args, settings: &Settings, terminal: &Terminal) -> anyhow::Result<Exit> {
    let (config, db) = (settings.config()?, settings.database().await?);
    let bar = terminal.progress("published", Some(0));
    let mut said = false;
    let drained = process_pending(config, &db, args.timeout, |drained| {
        bar.set_length(drained.published + drained.left);
        bar.set_position(drained.published);
        if drained.by_running_relay && !said {
            said = true;
            bar.suspend(|| note("A running relay holds the lease; it is watched until it is done."));
        }
    })
    .await?;
    bar.finish_and_clear();
    terminal.show(&drained, human)?;
    if drained.left == 0 && drained.failed == 0 {
        return Ok(Exit::Done);
    }
    let pending = Filter { status: Some(Status::Pending), ..Filter::default() };
    let left = outbox::oldest(&db, &pending, drained.left.min(NAMED)).await?;
    for event in drained.first_failed.iter().chain(&left) {
        let why = event.last_error.as_deref().unwrap_or("it was not tried, or waits for an older event");
        note(format_args!("{} {} of {}: {why}", event.status, event.event_id, event.row()));
    }
    Ok(Exit::Failed)
}

fn human(drained: &Drained) -> String {
    let by = if drained.by_running_relay { " by the running relay" } else { "" };
    let mut text = format!("{} published{by}", events(drained.published));
    if drained.failed > 0 {
        text += &format!(", {} can never be published", events(drained.failed));
    }
    if drained.left > 0 {
        let why = drained.error.as_deref().unwrap_or("the time is up");
        text += &format!(", {} left: {why}", events(drained.left));
    }
    text + "."
}
