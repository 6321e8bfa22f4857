//! What became of events: which of those that were named stay as they are, is said on standard error, in full.

use indicatif::ProgressBar;
use jsb_runtime::operate::Changed;
use sea_orm::DbErr;
use serde_json::json;

use crate::exit::Exit;
use crate::terminal::{Terminal, events, note};

/// Shows how many events were changed, under the name of what was `done` to them, and names what was refused or is not there in
/// `table`; the exit code says whether there was any.
pub(super) fn tell(
    outcome: &Changed,
    done: &str,
    table: &str,
    terminal: &Terminal,
    human: impl FnOnce(u64) -> String,
) -> anyhow::Result<Exit> {
    let Changed { changed, refused, unknown, .. } = outcome;
    terminal.show(&json!({done: changed, "refused": refused, "unknown": unknown}), |_| human(*changed))?;
    for refused in refused {
        note(format_args!("error: {}: {}", refused.event_id, refused.why));
    }
    for unknown in unknown {
        note(format_args!("error: {unknown}: there is no such event in the {table}"));
    }
    Ok(if refused.is_empty() && unknown.is_empty() { Exit::Done } else { Exit::Failed })
}

/// Deletes the events that were found, if somebody agrees or there are none to ask about, and shows how many they were.
pub(super) async fn prune(
    found: u64,
    question: &str,
    terminal: &Terminal,
    delete: impl AsyncFnOnce(&ProgressBar) -> Result<u64, DbErr>,
) -> anyhow::Result<Exit> {
    if found > 0 && !terminal.confirms(question)? {
        return Ok(Exit::Declined);
    }
    let bar = terminal.progress("deleted", Some(found));
    let deleted = delete(&bar).await?;
    bar.finish_and_clear();
    terminal.show(&json!({"pruned": deleted}), |_| format!("{} deleted.", events(deleted)))?;
    Ok(Exit::Done)
}
