//! `jsb inbox retry`

use anyhow::ensure;
use jsb_runtime::operate::inbox::{self, Filter, Reason, Status};

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
    /// All that stand where --status says
    #[arg(long, requires = "status")]
    all: bool,
    /// With --all: failed, parked or dead
    #[arg(long, requires = "all", value_parser = retryable)]
    status: Option<Status>,
    /// With --all: only those of this resource
    #[arg(long, requires = "all")]
    resource: Option<String>,
    /// With --all: only those that are parked or dead for this reason
    #[arg(long, requires = "all")]
    reason: Option<Reason>,
    /// The app that published them; the other one of the pair, if not given
    #[arg(long)]
    source: Option<String>,
}

fn retryable(text: &str) -> anyhow::Result<Status> {
    let status = text.parse()?;
    ensure!(status != Status::Processed, "what is processed is not tried again: write failed, parked or dead");
    Ok(status)
}

pub(super) async fn run(args: Args, settings: &Settings, terminal: &Terminal) -> anyhow::Result<Exit> {
    let (config, db) = (settings.config()?, settings.database().await?);
    let source = args.source.as_ref().unwrap_or(&config.destination_app);
    let outcome = if args.all {
        let bar = terminal.progress("retried", None);
        let filter = Filter { status: args.status, resource: args.resource, reason: args.reason, since: None };
        let outcome = inbox::retry_all(&db, source, &filter, |retried| bar.set_position(retried)).await?;
        bar.finish_and_clear();
        outcome
    } else {
        inbox::retry(&db, source, &args.event_ids).await?
    };
    changed::tell(&outcome, "retried", "inbox", terminal, |due| {
        format!("{} due now; a running consumer takes what is due within seconds.", events(due))
    })
}
