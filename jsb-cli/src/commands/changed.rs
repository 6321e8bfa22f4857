//! What could not be tried again is said on standard error, in full.

use jsb_runtime::operate::Retried;

use crate::exit::Exit;
use crate::terminal::note;

/// Names what was refused or is not there in `table`; the exit code says whether there was any.
pub(super) fn exit(outcome: &Retried, table: &str) -> Exit {
    for refused in &outcome.refused {
        note(format_args!("error: {}: {}", refused.event_id, refused.why));
    }
    for unknown in &outcome.unknown {
        note(format_args!("error: {unknown}: there is no such event in the {table}"));
    }
    if outcome.refused.is_empty() && outcome.unknown.is_empty() { Exit::Done } else { Exit::Failed }
}
