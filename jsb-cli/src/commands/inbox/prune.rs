//! `jsb inbox prune`

use std::time::Duration;

use anyhow::bail;
use jsb_runtime::operate::inbox;

use crate::commands::changed;
use crate::exit::Exit;
use crate::settings::Settings;
use crate::terminal::{Terminal, events};
use crate::times;

/// Which events are deleted.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Those settled so long ago: 45d
    #[arg(long, value_parser = times::duration)]
    older_than: Duration,
    /// Also events younger than INBOX_RETENTION, which may come again
    #[arg(long)]
    force: bool,
}

pub(super) async fn run(args: Args, settings: &Settings, terminal: &Terminal) -> anyhow::Result<Exit> {
    let config = settings.config()?;
    if args.older_than < config.inbox_retention && !args.force {
        bail!(
            "{} is less than INBOX_RETENTION ({}): an event that is forgotten and comes again would be taken for new, and \
             its handlers would run twice. Give a longer time, or --force if nothing can come again",
            times::span(args.older_than),
            times::span(config.inbox_retention)
        );
    }
    let db = settings.database().await?;
    let before = times::before(args.older_than)?;
    let found = inbox::settled_before(&db, before).await?;
    let question = format!(
        "Delete {} from the inbox of {} settled before {}? What is dead can then not be tried again from here.",
        events(found),
        config.app_name,
        times::short(before)
    );
    changed::prune(found, &question, terminal, async |bar| {
        inbox::prune(&db, before, |pruned| bar.set_position(pruned)).await
    })
    .await
}
