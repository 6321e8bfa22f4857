//! Counterexamples in words.

use std::fmt;

use jsb_runtime::version::Version;

use crate::action::{Action, Save};
use crate::replica::Status;
use crate::state::{Side, State, Values};

/// What happened, a line for each step, and where it led.
pub fn tell(path: Vec<(State, Option<Action>)>) -> String {
    path.into_iter()
        .map(|(state, action)| match action {
            Some(action) => format!("  {action}\n"),
            None => format!("  in the end {state}"),
        })
        .collect()
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Save(side, save, clock) => write!(f, "{side:?} {save}, its clock at {clock} ns"),
            Self::Load(side, save) => write!(f, "{side:?} is about to: {save}"),
            Self::Commit(side, clock) => write!(f, "{side:?} does so, its clock at {clock} ns"),
            Self::Deliver(side, number) => write!(f, "{side:?} gets event {:?}{number}", side.other()),
            Self::Decide(side, number) => write!(f, "{side:?} is about to apply event {:?}{number}", side.other()),
            Self::Finish(side) => write!(f, "{side:?} does so"),
            Self::Keep(side, number, _) => write!(f, "{side:?} keeps what event {:?}{number} deletes", side.other()),
            Self::Untangle(side, circle) => write!(f, "{side:?} applies events {:?}{circle:?} together", side.other()),
            Self::Prune(side, clock) => write!(f, "{side:?} prunes, its clock at {clock} ns"),
            Self::Lose(side, number) => write!(f, "{side:?} acknowledges event {:?}{number} and dies", side.other()),
        }
    }
}

impl fmt::Display for Save {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Put(key, values) => write!(f, "writes {key}{values}"),
            Self::Delete(key) => write!(f, "deletes {key}"),
            Self::QuietUpdate(key) => write!(f, "updates {key} quietly"),
            Self::QuietDelete(key) => write!(f, "deletes {key} quietly"),
        }
    }
}

impl fmt::Display for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.unique.iter().try_for_each(|value| write!(f, " ={value}"))?;
        self.parent.iter().try_for_each(|parent| write!(f, " under {parent}"))
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |side: Side| {
            let replica = self.at(side);
            let rows = replica.rows.iter().map(|(key, row)| {
                let quiet = if row.quiet { " changed quietly" } else { "" };
                format!(" {key}{}{} by {:?}{}{quiet}", at(row.version), row.values, row.author.0, row.author.1)
            });
            let tombstones = replica.tombstones.iter().map(|(key, version)| format!(" no {key}{}", at(*version)));
            let settled = |status: &Status| *status == Status::Settled;
            let waiting = replica.inbox.iter().enumerate().filter(move |(_, status)| !settled(status));
            let waiting = waiting.map(|(number, status)| format!(" {:?}{number} {status:?}", side.other()));
            rows.chain(tombstones).chain(waiting).collect::<Vec<_>>().join(",")
        };
        write!(f, "A has{}; B has{}", of(Side::A), of(Side::B))
    }
}

/// A version in microseconds.
fn at(version: Version) -> String {
    format!("@{}", version.time().timestamp_micros())
}
