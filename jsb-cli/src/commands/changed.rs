//! What became of events that were named: what stays as it is, is said on standard error, in full.

use jsb_runtime::operate::Changed;
use serde_json::json;

use crate::exit::Exit;
use crate::terminal::{Terminal, note};

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
