//! The decisions that are made by versions alone.

use crate::version::{self, Version};

/// The versions that are found for a key, under its lock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Of the row.
    pub row: Option<Version>,
    /// Of the tombstone.
    pub tombstone: Option<Version>,
    /// Of the newest tombstone of any key that was pruned.
    pub pruned: Option<Version>,
}

/// What an event does to its row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Change {
    /// Nothing: what is here is newer.
    Stale,
    /// Deletes it and leaves a tombstone.
    Delete,
    /// Updates it.
    Update,
    /// Inserts it.
    Insert,
    /// Nothing: the row may have been deleted, by a tombstone that was pruned.
    OlderThanTombstones,
}

/// Decides what an event of `source` does at `here`. The model of the protocol calls it too.
pub fn decide(event: Version, deletes: bool, source: &str, found: &Found, here: &str) -> Change {
    let wins = |over| version::wins(event, source, over, here);
    match found.row {
        _ if !wins(found.row.max(found.tombstone)) => Change::Stale,
        _ if deletes => Change::Delete,
        Some(_) => Change::Update,
        // A tombstone says nothing here: it may be that of an older delete, which came after the newer one's was pruned.
        None if !wins(found.pruned) => Change::OlderThanTombstones,
        None => Change::Insert,
    }
}

/// Whether a row of this version is kept that the other side deleted at `deleted` while it has children here.
pub fn is_kept(row: Option<Version>, deleted: Version) -> bool {
    row.is_some_and(|row| row <= deleted)
}
