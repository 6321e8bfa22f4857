//! What there is: two replicas, and what each has written.

use jsb_runtime::version::Version;

use crate::replica::{Replica, Status};

/// One of the two applications.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// The one whose name sorts first.
    A,
    /// The other.
    B,
}

impl Side {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::A, Self::B];

    /// The app's name, which decides ties.
    pub fn app(self) -> &'static str {
        ["system_a", "system_b"][self as usize]
    }

    /// The side that it syncs with.
    pub fn other(self) -> Self {
        [Self::B, Self::A][self as usize]
    }
}

/// A row's key.
pub type Key = char;

/// The columns that the database watches; what else a row holds is told by the event that wrote it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Values {
    /// The value of a unique column.
    pub unique: Option<char>,
    /// A reference to a parent.
    pub parent: Option<Key>,
}

/// An event: a line of the log of the side that wrote it, which is its outbox and its part of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Event {
    /// Of the row.
    pub key: Key,
    /// The row's version, or the tombstone's.
    pub version: Version,
    /// Who wrote it.
    pub source: Side,
    /// Its place in that side's log.
    pub number: usize,
    /// What the row holds; `None` deletes it.
    pub values: Option<Values>,
}

/// A state of the whole: both replicas.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State(pub [Replica; 2]);

impl State {
    /// The replica of a side.
    pub fn at(&self, side: Side) -> &Replica {
        &self.0[side as usize]
    }

    pub(crate) fn at_mut(&mut self, side: Side) -> &mut Replica {
        &mut self.0[side as usize]
    }

    /// The event of this number that is on its way to `side`, or has come there.
    pub(crate) fn arriving(&self, side: Side, number: usize) -> &Event {
        &self.at(side.other()).log[number]
    }

    /// What has become at `side` of an event of the other.
    pub(crate) fn status(&self, side: Side, number: usize) -> Status {
        self.at(side).inbox.get(number).copied().unwrap_or(Status::OnItsWay)
    }

    pub(crate) fn set_status(&mut self, side: Side, number: usize, status: Status) {
        let inbox = &mut self.at_mut(side).inbox;
        inbox.resize(inbox.len().max(number + 1), Status::OnItsWay);
        inbox[number] = status;
    }

    /// The newest event of a key, of both sides.
    pub fn newest(&self, key: Key) -> Option<&Event> {
        let events = self.0.iter().flat_map(|replica| &replica.log);
        events.filter(|event| event.key == key).max_by_key(|event| (event.version, event.source))
    }
}
