//! Promise 8: whether the events of each row came in the order of their commits.

use std::collections::{BTreeMap, BTreeSet};

/// Where the event of an outbox stands: the row that it speaks of, and its id, which follows that row's commits.
pub(super) struct Place<'a> {
    pub(super) row: (&'a str, &'a str),
    pub(super) id: i64,
}

/// The events that came after a later one of their row. Of an event that came more than once the first time counts; one
/// that is in no outbox has no place.
pub(super) fn overtaken<'a>(came: &'a [String], place: impl Fn(&str) -> Option<Place<'a>>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let mut latest: BTreeMap<(&str, &str), (i64, &str)> = BTreeMap::new();
    let mut overtaken = Vec::new();
    for event_id in came.iter().filter(|event_id| seen.insert(event_id.as_str())) {
        let Some(Place { row, id }) = place(event_id) else { continue };
        match latest.get(&row) {
            Some((later, by)) if *later > id => {
                overtaken.push(format!("{event_id} of {}/{} was overtaken by {by}", row.0, row.1));
            }
            _ => drop(latest.insert(row, (id, event_id))),
        }
    }
    overtaken
}
