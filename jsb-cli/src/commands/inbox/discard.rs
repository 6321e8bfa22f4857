//! `jsb inbox discard`

use jsb_runtime::operate::inbox;

use crate::commands::changed;
use crate::exit::Exit;
use crate::settings::Settings;
use crate::terminal::{Terminal, events};

/// Which events are given up.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Their ids
    #[arg(required = true)]
    event_ids: Vec<String>,
    /// The app that published them; the other one of the pair, if not given
    #[arg(long)]
    source: Option<String>,
}

pub(super) async fn run(args: Args, settings: &Settings, terminal: &Terminal) -> anyhow::Result<Exit> {
    let (config, db) = (settings.config()?, settings.database().await?);
    let source = args.source.as_ref().unwrap_or(&config.destination_app);
    let named = events(args.event_ids.len() as u64);
    let question = format!("Give up {named} of {source} that {} could not apply?", config.app_name);
    if !terminal.confirms(&question)? {
        return Ok(Exit::Declined);
    }
    let outcome = inbox::discard(&db, source, &args.event_ids).await?;
    changed::tell(&outcome, "discarded", "inbox", terminal, |discarded| format!("{} given up.", events(discarded)))
}
