//! `jsb dlq list`

use std::pin::pin;

use futures_util::TryStreamExt;
use jsb_runtime::operate::{Connection, Letter};

use super::doubt;
use crate::exit::Exit;
use crate::terminal::{Terminal, cut, note, table};
use crate::times;

/// Which letters are listed.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only those with this reason, such as max_attempts
    #[arg(long)]
    reason: Option<String>,
    /// Only those after this sequence
    #[arg(long, default_value_t = 0)]
    after: u64,
    /// At most so many
    #[arg(long, default_value_t = 50)]
    limit: usize,
}

pub(super) async fn run(args: Args, connection: &Connection, terminal: &Terminal) -> anyhow::Result<Exit> {
    let dlq = connection.dlq().await?;
    let mut all = pin!(dlq.letters(args.after));
    let (mut letters, mut are_more) = (Vec::new(), false);
    while let Some(letter) = all.try_next().await? {
        if args.reason.as_ref().is_some_and(|reason| *reason != letter.reason) {
            continue;
        }
        are_more = letters.len() == args.limit;
        if are_more {
            break;
        }
        letters.push(letter);
    }
    terminal.show(&letters, |letters| human(letters))?;
    if letters.is_empty() {
        doubt(args.reason.as_deref());
    }
    if let (true, Some(last)) = (are_more, letters.last()) {
        note(format_args!("There are more: --after {} lists them.", last.sequence));
    }
    Ok(Exit::Done)
}

fn human(letters: &[Letter]) -> String {
    let row = |letter: &Letter| {
        [
            letter.sequence.to_string(),
            letter.event_id.clone(),
            letter.row().unwrap_or_default(),
            letter.event_type.clone().unwrap_or_default(),
            letter.reason.clone(),
            letter.deliveries.to_string(),
            times::short(letter.dead_since),
            cut(&letter.error),
        ]
    };
    let header = ["sequence", "event", "row", "type", "reason", "deliveries", "dead since", "error"];
    table(header, letters.iter().map(row).collect(), "No letters.")
}
