//! What must hold when all is quiet, and the one excuse there is.

use std::collections::BTreeSet;

use crate::pair::Pair;
use crate::replica::Status;
use crate::state::{Event, Key, Side, State};

impl Pair {
    /// A key of which the sides hold different rows.
    pub fn disagreement(&self, state: &State) -> Option<Key> {
        let [a, b] = Side::BOTH.map(|side| state.at(side));
        let excused = self.excused(state);
        let differs = |key: &Key| match (a.rows.get(key), b.rows.get(key)) {
            (Some(one), Some(other)) if one.quiet || other.quiet => one.version != other.version,
            (None, Some(row)) => a.hidden.get(key) != Some(&row.author),
            (Some(row), None) => b.hidden.get(key) != Some(&row.author),
            (one, other) => one != other,
        };
        keys(state).into_iter().filter(|key| !excused.contains(key)).find(differs)
    }

    /// A key whose row is not as the newest event says, on one of the sides.
    pub fn outdated(&self, state: &State) -> Option<(Side, Key)> {
        let excused = self.excused(state);
        let mut keys = keys(state).into_iter().filter(|key| !excused.contains(key));
        keys.find_map(|key| {
            let differs = |side: &Side| !self.is_as_written(state, *side, key);
            Side::BOTH.into_iter().find(differs).map(|side| (side, key))
        })
    }

    fn is_as_written(&self, state: &State, side: Side, key: Key) -> bool {
        let row = state.at(side).rows.get(&key);
        match (row, state.newest(key)) {
            (Some(row), Some(Event { values: Some(values), version, source, number, .. })) => {
                let same = row.quiet || (row.author, row.values) == ((*source, *number), *values);
                same && row.version == self.rules.stored(*version)
            }
            (None, Some(Event { values: Some(_), source, number, .. })) => {
                state.at(side).hidden.get(&key) == Some(&(*source, *number))
            }
            (row, _) => row.is_none(),
        }
    }

    /// A key that was deleted last and has a row.
    pub fn resurrected(&self, state: &State) -> Option<Key> {
        let deleted = |key: &Key| state.newest(*key).is_some_and(|event| event.values.is_none());
        let is_there = |key: &Key| Side::BOTH.iter().any(|side| state.at(*side).rows.contains_key(key));
        keys(state).into_iter().filter(deleted).find(is_there)
    }

    /// An event that waits for nothing that would excuse it.
    pub fn stuck(&self, state: &State) -> Option<(Side, usize)> {
        let excused = self.excused(state);
        parked(state).find(|(_, event, _)| !excused.contains(&event.key)).map(|(side, event, _)| (side, event.number))
    }

    /// The keys that cannot converge: their newest versions claim one unique value, or refer to such a row, or wait for
    /// it. With pruned tombstones also those of which an event is in the DLQ.
    fn excused(&self, state: &State) -> BTreeSet<Key> {
        let newest: Vec<&Event> = keys(state).into_iter().filter_map(|key| state.newest(key)).collect();
        let claim = |event: &Event| event.values.and_then(|values| values.unique);
        let rival =
            |one: &Event, other: &Event| one.key != other.key && claim(one).is_some() && claim(one) == claim(other);
        let contested = newest.iter().filter(|one| newest.iter().any(|other| rival(one, other))).map(|event| event.key);
        let mut excused: BTreeSet<Key> = contested.collect();
        if self.scenario.prunes {
            excused.extend(dead(state));
        }
        let refers = newest.iter().map(|event| (event.key, event.values.and_then(|values| values.parent)));
        let waits = parked(state).map(|(_, event, waits_for)| (event.key, waits_for));
        let follows: Vec<(Key, Option<Key>)> = refers.chain(waits).collect();
        loop {
            let more = follows.iter().filter(|(_, other)| other.is_some_and(|other| excused.contains(&other)));
            let more: Vec<Key> = more.map(|(key, _)| *key).filter(|key| !excused.contains(key)).collect();
            if more.is_empty() {
                return excused;
            }
            excused.extend(more);
        }
    }
}

fn keys(state: &State) -> BTreeSet<Key> {
    state.0.iter().flat_map(|replica| &replica.log).map(|event| event.key).collect()
}

fn arrived(state: &State) -> impl Iterator<Item = (Side, &Event, Status)> {
    let of = |side: Side| state.at(side.other()).log.iter().map(move |event| (side, event));
    Side::BOTH.into_iter().flat_map(of).map(|(side, event)| (side, event, state.status(side, event.number)))
}

fn parked(state: &State) -> impl Iterator<Item = (Side, &Event, Option<Key>)> {
    arrived(state).filter_map(|(side, event, status)| match status {
        Status::Parked(_, waits_for) => Some((side, event, waits_for)),
        _ => None,
    })
}

fn dead(state: &State) -> impl Iterator<Item = Key> {
    arrived(state).filter(|(_, _, status)| *status == Status::Dead).map(|(_, event, _)| event.key)
}
