//! `jsb outbox retry`

use jsb_runtime::operate::outbox::{self, Filter};

use crate::commands::changed;
use crate::exit::Exit;
use crate::settings::Settings;
use crate::terminal::{Terminal, events};

/// Which events are tried again.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Their ids
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    event_ids: Vec<String>,
    /// All that failed or are delayed
    #[arg(long)]
    all: bool,
    /// With --all: only those of this resource
    #[arg(long, requires = "all")]
    resource: Option<String>,
}

pub(super) async fn run(args: Args, settings: &Settings, terminal: &Terminal) -> anyhow::Result<Exit> {
    let db = settings.database().await?;
    let outcome = if args.all {
        let bar = terminal.progress("retried", None);
        let filter = Filter { resource: args.resource, ..Filter::default() };
        let outcome = outbox::retry_all(&db, &filter, |retried| bar.set_position(retried)).await?;
        bar.finish_and_clear();
        outcome
    } else {
        outbox::retry(&db, &args.event_ids).await?
    };
    changed::tell(&outcome, "retried", "outbox", terminal, |due| {
        format!("{} due now; the relay publishes what is due.", events(due))
    })
}
