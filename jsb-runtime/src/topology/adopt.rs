//! What an application that provisions for itself does about the stream: it uses what is there, and only adds.

use std::collections::BTreeSet;

use serde_json::json;

use super::{Change, Difference, Found, Plan, TopologyError, Wanted};

/// The stream that carries the pair, whatever its name, and what is missing of it. Of one that is there nothing changes but its
/// subjects.
///
/// # Errors
///
/// [`TopologyError`] when no change short of deleting something would do.
pub(crate) fn adopt(wanted: &Wanted, found: &Found) -> Result<(String, Plan), TopologyError> {
    let streams: BTreeSet<&String> = found.carriers.values().collect();
    let stream = match streams.into_iter().collect::<Vec<_>>().as_slice() {
        [] => wanted.stream.name.clone(),
        [stream] => (*stream).clone(),
        several => return Err(TopologyError::Spread(several.iter().map(|stream| (*stream).clone()).collect())),
    };
    let missing: Vec<&String> =
        wanted.stream.subjects.iter().filter(|subject| !found.carriers.contains_key(*subject)).collect();
    let is_there = found.stream.is_some() || !found.carriers.is_empty();
    let change = match (is_there, missing.is_empty()) {
        (false, _) => Some(Change::CreateStream { stream: stream.clone(), settings: wanted.stream.settings() }),
        (true, true) => None,
        (true, false) => {
            let differences = vec![Difference::new("subjects", &json!([]), &json!(missing))];
            Some(Change::UpdateStream { stream: stream.clone(), differences })
        }
    };
    Ok((stream, Plan { changes: change.into_iter().collect(), ..Plan::default() }))
}
