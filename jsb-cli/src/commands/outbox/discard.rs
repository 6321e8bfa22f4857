//! `jsb outbox discard`

use jsb_runtime::operate::outbox;

use crate::commands::changed;
use crate::exit::Exit;
use crate::settings::Settings;
use crate::terminal::{Terminal, events};

/// Which events are deleted.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Their ids
    #[arg(required = true)]
    event_ids: Vec<String>,
}

pub(super) async fn run(args: Args, settings: &Settings, terminal: &Terminal) -> anyhow::Result<Exit> {
    let db = settings.database().await?;
    let named = events(args.event_ids.len() as u64);
    let question = format!("Delete {named} of {}, which then never reach the other side?", settings.app()?);
    if !terminal.confirms(&question)? {
        return Ok(Exit::Declined);
    }
    let outcome = outbox::discard(&db, &args.event_ids).await?;
    changed::tell(&outcome, "discarded", "outbox", terminal, |deleted| format!("{} deleted.", events(deleted)))
}
