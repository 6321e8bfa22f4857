//! `jsb outbox prune`

use std::time::Duration;

use jsb_runtime::operate::outbox;
use serde_json::json;

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
    if found > 0 && !terminal.confirms(&question)? {
        return Ok(Exit::Declined);
    }
    let bar = terminal.progress("deleted", Some(found));
    let pruned = outbox::prune(&db, before, |pruned| bar.set_position(pruned)).await?;
    bar.finish_and_clear();
    terminal.show(&json!({"pruned": pruned}), |_| format!("{} deleted.", events(pruned)))?;
    Ok(Exit::Done)
}
