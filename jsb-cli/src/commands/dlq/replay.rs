//! `jsb dlq replay`

use std::pin::pin;

use futures_util::{StreamExt, TryStreamExt, stream};
use indicatif::ProgressBar;
use jsb_runtime::operate::{Connection, Dlq, Letter, Replay, Replayer, StreamError};
use serde::Serialize;

use super::{doubt, note_missing};
use crate::exit::Exit;
use crate::settings::Settings;
use crate::terminal::{Terminal, events, note};

/// Which events are brought once more.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Sequences of letters, or ids of their events
    #[arg(value_name = "SEQUENCE|EVENT_ID", required_unless_present = "all", conflicts_with_all = ["all", "reason"])]
    letters: Vec<String>,
    /// All that are there now
    #[arg(long)]
    all: bool,
    /// Only those with this reason, such as max_attempts
    #[arg(long)]
    reason: Option<String>,
    /// Also those of which a newer version is here, and those that would be refused again
    #[arg(long)]
    force: bool,
}

/// What became of the letters.
#[derive(Default, Serialize)]
struct Summary {
    replayed: u64,
    skipped: Vec<Left>,
    failed: Vec<Left>,
    /// Replayed, but nobody knows whether a newer version is here.
    unchecked: Vec<Left>,
    missing: Vec<String>,
    /// Whether the others were not tried, since what was in the way of one would have been in the way of all.
    stopped: bool,
}

#[derive(Serialize)]
struct Left {
    sequence: u64,
    event_id: String,
    why: String,
}

pub(super) async fn run(
    args: Args,
    connection: &Connection,
    settings: &Settings,
    terminal: &Terminal,
) -> anyhow::Result<Exit> {
    let (db, dlq) = (settings.database().await?, connection.dlq().await?);
    let replayer = dlq.replayer(&db, args.force).await?;
    let mut summary = Summary::default();
    let bar = terminal.progress("replayed", None);
    let ended = replay(&args, &dlq, &replayer, &mut summary, &bar).await;
    bar.finish_and_clear();
    terminal.show(&summary, human)?;
    summary.note_failures();
    // What was done until then is done, and was shown.
    ended?;
    if summary.is_empty() {
        doubt(args.reason.as_deref());
    }
    Ok(if summary.failed.is_empty() && summary.missing.is_empty() { Exit::Done } else { Exit::Failed })
}

async fn replay(
    args: &Args,
    dlq: &Dlq<'_>,
    replayer: &Replayer<'_>,
    summary: &mut Summary,
    bar: &ProgressBar,
) -> Result<(), StreamError> {
    let (letters, count) = if args.all {
        (dlq.letters(0).left_stream(), dlq.count().await?)
    } else {
        let found = dlq.find(&args.letters).await?;
        summary.missing = found.missing;
        let count = found.letters.len() as u64;
        (stream::iter(found.letters).map(Ok).right_stream(), count)
    };
    bar.set_length(count);
    let mut letters = pin!(letters);
    while let Some(letter) = letters.try_next().await? {
        bar.inc(1);
        if args.reason.as_ref().is_some_and(|reason| *reason != letter.reason) {
            continue;
        }
        let outcome = replayer.replay(&letter).await;
        let is_in_every_way = outcome.as_ref().is_err_and(|error| !error.is_letters_own());
        summary.add(&letter, outcome.map_err(|error| crate::describe(&error.into())));
        if is_in_every_way {
            summary.stopped = true;
            break;
        }
    }
    Ok(())
}

impl Summary {
    fn is_empty(&self) -> bool {
        self.replayed == 0 && self.skipped.is_empty() && self.failed.is_empty()
    }

    fn add(&mut self, letter: &Letter, outcome: Result<Replay, String>) {
        let left = |why| Left { sequence: letter.sequence, event_id: letter.event_id.clone(), why };
        match outcome {
            Ok(Replay::Skipped(why)) => self.skipped.push(left(why)),
            Ok(Replay::Done { unchecked }) => {
                self.replayed += 1;
                self.unchecked.extend(unchecked.map(left));
            }
            Ok(other) => self.failed.push(left(format!("an outcome that this program does not know: {other:?}"))),
            Err(why) => self.failed.push(left(why)),
        }
    }

    /// Says on standard error why it did not do all that was asked for.
    fn note_failures(&self) {
        for Left { sequence, event_id, why } in &self.failed {
            note(format_args!("error: {sequence} ({event_id}): {why}"));
        }
        if self.stopped {
            note("The others were not tried: what was in the way of the last one is in the way of all.");
        }
        note_missing(&self.missing);
    }
}

fn human(summary: &Summary) -> String {
    let (skipped, failed) = (summary.skipped.len() as u64, summary.failed.len() as u64);
    let mut lines = vec![format!("{} replayed, {skipped} skipped, {failed} failed.", events(summary.replayed))];
    for (kind, letters) in [("skipped", &summary.skipped), ("unchecked", &summary.unchecked)] {
        lines.extend(letters.iter().map(|left| format!("{kind} {} ({}): {}", left.sequence, left.event_id, left.why)));
    }
    lines.join("\n")
}
