//! `jsb dlq purge`

use std::pin::pin;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::TryStreamExt;
use jsb_runtime::StreamError;
use jsb_runtime::operate::{Connection, Dlq, Letter};
use sea_orm::DatabaseConnection;
use serde_json::json;

use super::note_missing;
use crate::exit::Exit;
use crate::settings::Settings;
use crate::terminal::{Terminal, letters};
use crate::times;

/// Which letters are deleted.
#[derive(clap::Args)]
#[group(required = true, multiple = true)]
pub(crate) struct Args {
    /// Sequences of letters, or ids of their events
    #[arg(value_name = "SEQUENCE|EVENT_ID", conflicts_with_all = ["settled", "older_than", "all"])]
    letters: Vec<String>,
    /// Those whose event was processed meanwhile, replayed or retried
    #[arg(long)]
    settled: bool,
    /// Those that are older than this: 30d
    #[arg(long, value_parser = times::duration)]
    older_than: Option<Duration>,
    /// All that are there now
    #[arg(long, conflicts_with_all = ["settled", "older_than"])]
    all: bool,
}

pub(super) async fn run(
    args: Args,
    connection: &Connection,
    settings: &Settings,
    terminal: &Terminal,
) -> anyhow::Result<Exit> {
    let dlq = connection.dlq().await?;
    let (chosen, missing) = choose(&args, &dlq, settings, terminal).await?;
    note_missing(&missing);
    let count = chosen.len() as u64;
    let question =
        format!("Delete {} of {}? What is not in the inbox either is then gone.", letters(count), settings.app()?);
    if count > 0 && !terminal.confirms(&question)? {
        return Ok(Exit::Declined);
    }
    let bar = terminal.progress("deleted", Some(count));
    let (mut purged, mut failed) = (0, None);
    for sequence in chosen {
        match delete(&dlq, sequence).await {
            Ok(deleted) => purged += u64::from(deleted),
            Err(error) => {
                failed = Some(error);
                break;
            }
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    terminal.show(&json!({"purged": purged, "missing": missing}), |_| format!("{} deleted.", letters(purged)))?;
    if let Some(error) = failed {
        return Err(error.into());
    }
    Ok(if missing.is_empty() { Exit::Done } else { Exit::Failed })
}

/// Reads the letter again, so that nothing but a letter of this DLQ can go.
async fn delete(dlq: &Dlq<'_>, sequence: u64) -> Result<bool, StreamError> {
    match dlq.letter(sequence).await? {
        Some(letter) => dlq.delete(&letter).await,
        None => Ok(false),
    }
}

/// The sequences of the letters that are meant, and the names that mean none.
async fn choose(
    args: &Args,
    dlq: &Dlq<'_>,
    settings: &Settings,
    terminal: &Terminal,
) -> anyhow::Result<(Vec<u64>, Vec<String>)> {
    if !args.letters.is_empty() {
        let found = dlq.find(&args.letters).await?;
        return Ok((found.letters.iter().map(|letter| letter.sequence).collect(), found.missing));
    }
    let before = args.older_than.map(times::before).transpose()?;
    let db = if args.settled { Some(settings.database().await?) } else { None };
    let bar = terminal.progress("looked at", Some(dlq.count().await?));
    let (mut chosen, mut batches) = (Vec::new(), pin!(dlq.batches(0)));
    while let Some(batch) = batches.try_next().await? {
        bar.inc(batch.len() as u64);
        chosen.extend(meant(batch, dlq, before, db.as_ref()).await?);
    }
    bar.finish_and_clear();
    Ok((chosen, Vec::new()))
}

async fn meant(
    mut letters: Vec<Letter>,
    dlq: &Dlq<'_>,
    before: Option<DateTime<Utc>>,
    db: Option<&DatabaseConnection>,
) -> anyhow::Result<Vec<u64>> {
    letters.retain(|letter| before.is_none_or(|before| letter.dead_since < before));
    if let Some(db) = db {
        let settled = dlq.settled(db, &letters).await?;
        letters.retain(|letter| settled.contains(&letter.event_id));
    }
    Ok(letters.iter().map(|letter| letter.sequence).collect())
}
