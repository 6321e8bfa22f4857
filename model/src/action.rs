//! What may happen: one transaction each.

use jsb_runtime::testing::Reason;
use jsb_runtime::version::Version;

use crate::replica::{Refusal, Row, Status};
use crate::rule::{Rule, Rules};
use crate::state::{Event, Key, Side, State, Values};

/// A user's save.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Save {
    /// Inserts the row or updates it.
    Put(Key, Values),
    /// Deletes the row.
    Delete(Key),
    /// Updates the row within `skip_publish`.
    QuietUpdate(Key),
    /// Deletes the row within `skip_publish`.
    QuietDelete(Key),
}

/// What may happen at a side, where clocks show nanoseconds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// A user saves.
    Save(Side, Save, i64),
    /// A user's save reads the version that it will draw above, without a lock.
    Load(Side, Save),
    /// And is written.
    Commit(Side, i64),
    /// An event of the other side is delivered, for the first time or again, or taken up from the inbox.
    Deliver(Side, usize),
    /// An event is decided on without a lock.
    Decide(Side, usize),
    /// And is written.
    Finish(Side),
    /// The children of a row that the other side deleted have had their time to go.
    Keep(Side, usize, i64),
    /// Parked events that wait for one another are applied together.
    Untangle(Side, Vec<usize>),
    /// Tombstones older than a clock are pruned.
    Prune(Side, i64),
    /// A process acknowledges an event and dies.
    Lose(Side, usize),
}

impl State {
    /// What a user's save draws above.
    pub(crate) fn above(&self, side: Side, save: Save) -> Option<Version> {
        let (Save::Put(key, _) | Save::Delete(key) | Save::QuietUpdate(key) | Save::QuietDelete(key)) = save;
        let found = self.at(side).found(key);
        found.row.or(found.tombstone)
    }

    /// A user's save, or `None` if the database refuses it.
    pub(crate) fn save(
        &mut self,
        side: Side,
        save: Save,
        clock: i64,
        above: Option<Version>,
        rules: &Rules,
    ) -> Option<()> {
        let replica = self.at_mut(side);
        replica.saves += 1;
        match save {
            Save::Put(key, values) => {
                replica.admit(key, values).ok()?;
                let there = replica.rows.contains_key(&key);
                let rule = if there { Rule::DrawAbovePrevious } else { Rule::InsertAboveTombstone };
                self.write(side, key, Some(values), rules.draw(clock, above, rule), rules);
            }
            Save::Delete(key) => {
                replica.rows.get(&key)?;
                replica.remove(key).ok()?;
                self.write(side, key, None, rules.draw(clock, above, Rule::DeleteAboveRow), rules);
            }
            Save::QuietUpdate(key) => {
                let row = replica.rows.get_mut(&key)?;
                row.quiet = true;
                if !rules.hold(Rule::QuietSaveKeepsVersion) {
                    row.version = rules.draw(clock, above, Rule::DrawAbovePrevious);
                }
            }
            Save::QuietDelete(key) => {
                let Row { version, author, .. } = *replica.rows.get(&key)?;
                replica.remove(key).ok()?;
                replica.hidden.insert(key, author);
                if !rules.hold(Rule::QuietDeleteDrawsNothing) {
                    replica.tombstones.insert(key, rules.draw(clock, above, Rule::DeleteAboveRow));
                } else if rules.hold(Rule::QuietDeleteIsRemembered) {
                    replica.tombstones.insert(key, version);
                }
            }
        }
        Some(())
    }

    /// Writes a row or its tombstone, and the event that says so.
    fn write(&mut self, side: Side, key: Key, values: Option<Values>, version: Version, rules: &Rules) {
        let replica = self.at_mut(side);
        let number = replica.log.len();
        replica.log.push(Event { key, version, source: side, number, values });
        replica.hidden.remove(&key);
        let version = rules.stored(version);
        match values {
            Some(values) => {
                replica.rows.insert(key, Row { version, author: (side, number), values, quiet: false });
            }
            None => {
                replica.tombstones.insert(key, version);
            }
        }
    }

    /// An event is tried, and its outcome recorded.
    pub(crate) fn deliver(&mut self, side: Side, number: usize, rules: &Rules) {
        let event = *self.arriving(side, number);
        let tried = self.at_mut(side).attempt(&event, side, rules);
        self.record(side, &event, tried, rules);
    }

    pub(crate) fn record(&mut self, side: Side, event: &Event, tried: Result<bool, Refusal>, rules: &Rules) {
        let parked = |refusal: Refusal| {
            let reason = rules.parks(refusal.fault()?, event.values.is_none())?;
            Some(Status::Parked(reason, refusal.waits_for()))
        };
        let status = match tried {
            Ok(_) => Status::Settled,
            Err(refusal) => parked(refusal).unwrap_or(Status::Dead),
        };
        self.set_status(side, event.number, status);
    }

    /// Keeps a row whose delete is refused since it has children, if it may be kept.
    pub(crate) fn keep(&mut self, side: Side, number: usize, clock: i64, rules: &Rules) -> Option<()> {
        let event = *self.arriving(side, number);
        let refused = self.at(side).clone().attempt(&event, side, rules) == Err(Refusal::ForeignKey(None));
        let row = *self.at(side).rows.get(&event.key).filter(|_| refused && rules.keeps(Reason::HasChildren))?;
        if !jsb_runtime::testing::is_kept(Some(row.version), event.version) {
            return None;
        }
        let above = if rules.hold(Rule::KeepAboveDelete) { event.version } else { row.version };
        let version = rules.draw(clock, Some(above), Rule::DrawAbovePrevious);
        self.write(side, event.key, Some(row.values), version, rules);
        self.set_status(side, number, Status::Settled);
        Some(())
    }

    /// Prunes the tombstones that are older than the clock.
    pub(crate) fn prune(&mut self, side: Side, clock: i64) -> Option<()> {
        let before = Version::at(chrono::DateTime::from_timestamp_nanos(clock));
        let replica = self.at_mut(side);
        let highest = replica.tombstones.values().filter(|version| **version < before).max().copied()?;
        replica.pruned = replica.pruned.max(Some(highest));
        replica.tombstones.retain(|_, version| *version > highest);
        Some(())
    }
}
