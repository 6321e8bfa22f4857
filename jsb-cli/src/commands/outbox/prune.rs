//! `jsb outbox prune`

use std::time::Duration;

use jsb_runtime::operate::outbox;

use crate::commands::changed;
use crate::exit::Exit;
use crate::settings::Settings;
use crate::terminal::{Terminal, events};
use crate::times;

/// Which events are deleted.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Those sent so long ago: 7d
    #[arg(long, value_parser = times::duration)]
    older_than: Duration,
}

pub(super) async fn run(args: Args, settings: &Settings, terminal: &Terminal) -> anyhow::Result<Exit> {
    let db = settings.database().await?;
    let before = times::before(args.older_than)?;
    let found = outbox::sent_before(&db, before).await?;
    let question = format!(
        "Delete {} of {} sent before {}? They can then not be published again.",
        events(found),
        settings.app()?,
        times::short(before)
    );
    changed::prune(found, &question, terminal, async |bar| {
        outbox::prune(&db, before, |pruned| bar.set_position(pruned)).await
    })
    .await
}
