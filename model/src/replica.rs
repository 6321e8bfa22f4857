//! One side's database: what it holds, what its constraints refuse, and what applying an event does to it.

use std::collections::BTreeMap;

use jsb_runtime::testing::{Change, Fault, Found, Reason};
use jsb_runtime::version::Version;

use crate::action::Save;
use crate::rule::Rules;
use crate::state::{Event, Key, Side, Values};

/// A row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Row {
    /// Its version.
    pub version: Version,
    /// The side and the place in its log of the event that says what the row holds.
    pub author: (Side, usize),
    /// What the database watches.
    pub values: Values,
    /// Whether it was changed here by a save that is not published.
    pub quiet: bool,
}

/// What has become of an event where it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// It is in the outbox or in the stream.
    OnItsWay,
    /// It waits in the inbox, for this row if that could be told.
    Parked(Reason, Option<Key>),
    /// It was processed.
    Settled,
    /// It is in the DLQ.
    Dead,
}

/// What commits at one side.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Replica {
    /// The synced rows.
    pub rows: BTreeMap<Key, Row>,
    /// The deleted keys.
    pub tombstones: BTreeMap<Key, Version>,
    /// The newest tombstone that was pruned.
    pub pruned: Option<Version>,
    /// What was written here, in order: the outbox and this side's part of the stream.
    pub log: Vec<Event>,
    /// What has become of the other side's events.
    pub inbox: Vec<Status>,
    /// How many saves there were.
    pub saves: usize,
    /// The authors of rows that were deleted here by a save that is not published.
    pub hidden: BTreeMap<Key, (Side, usize)>,
    /// A save that has read what it draws above, and has not written yet: there is none where rows are locked.
    pub draft: Option<(Save, Option<Version>)>,
    /// An event that was decided on and is not written yet: there is none where keys are locked.
    pub decided: Option<(usize, Change)>,
}

/// Why the database refuses a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The row refers to a row that is not here, or is deleted while rows refer to it.
    ForeignKey(Option<Key>),
    /// This row has the unique value.
    Unique(Key),
    /// The tombstones that would tell were pruned.
    OlderThanTombstones,
}

impl Refusal {
    pub(crate) fn fault(self) -> Option<Fault> {
        match self {
            Self::ForeignKey(_) => Some(Fault::ForeignKey),
            Self::Unique(_) => Some(Fault::Unique),
            Self::OlderThanTombstones => None,
        }
    }

    pub(crate) fn waits_for(self) -> Option<Key> {
        match self {
            Self::ForeignKey(row) => row,
            Self::Unique(row) => Some(row),
            Self::OlderThanTombstones => None,
        }
    }
}

impl Replica {
    pub(crate) fn found(&self, key: Key) -> Found {
        let row = self.rows.get(&key).map(|row| row.version);
        Found { row, tombstone: self.tombstones.get(&key).copied(), pruned: self.pruned }
    }

    /// Decides on an event and does what it says; `false` if it is stale.
    pub(crate) fn attempt(&mut self, event: &Event, here: Side, rules: &Rules) -> Result<bool, Refusal> {
        let change = rules.decide(event, &self.found(event.key), here);
        self.change(event, change, rules)
    }

    /// Does to the row what was decided.
    pub(crate) fn change(&mut self, event: &Event, change: Change, rules: &Rules) -> Result<bool, Refusal> {
        match (change, event.values) {
            (Change::Stale, _) => return Ok(false),
            (Change::OlderThanTombstones, _) => return Err(Refusal::OlderThanTombstones),
            (Change::Insert, _) if self.rows.contains_key(&event.key) => return Err(Refusal::Unique(event.key)),
            (Change::Update, _) if !self.rows.contains_key(&event.key) => {}
            (_, Some(values)) => {
                self.admit(event.key, values)?;
                let (version, author) = (rules.stored(event.version), (event.source, event.number));
                self.rows.insert(event.key, Row { version, author, values, quiet: false });
                self.hidden.remove(&event.key);
            }
            (_, None) => {
                self.remove(event.key)?;
                self.tombstones.insert(event.key, rules.stored(event.version));
                self.hidden.remove(&event.key);
            }
        }
        Ok(true)
    }

    /// The database's constraints on a row.
    pub(crate) fn admit(&self, key: Key, values: Values) -> Result<(), Refusal> {
        let holds = |row: &Row| values.unique.is_some() && row.values.unique == values.unique;
        if let Some((holder, _)) = self.rows.iter().find(|(other, row)| **other != key && holds(row)) {
            return Err(Refusal::Unique(*holder));
        }
        match values.parent {
            Some(parent) if !self.rows.contains_key(&parent) => Err(Refusal::ForeignKey(Some(parent))),
            _ => Ok(()),
        }
    }

    /// Deletes a row that no other refers to.
    pub(crate) fn remove(&mut self, key: Key) -> Result<(), Refusal> {
        if self.rows.values().any(|row| row.values.parent == Some(key)) {
            return Err(Refusal::ForeignKey(None));
        }
        self.rows.remove(&key);
        Ok(())
    }
}
