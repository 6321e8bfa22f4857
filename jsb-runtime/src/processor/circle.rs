//! Parked events that wait for one another's rows in a circle: how it is found, and when it may be applied.
//! Pure, so that the model of the protocol calls it too.

use std::collections::BTreeSet;

/// Where a chain of rows goes on, each of whose events waits for the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link<R> {
    /// To the event of this row.
    Next(R),
    /// Back to where it began.
    Closed,
    /// Nowhere.
    Broken,
}

/// Follows a chain of `rows` whose last event waits for `waits_for`.
pub fn follow<R: PartialEq>(rows: &[R], waits_for: Option<R>) -> Link<R> {
    match waits_for {
        Some(row) if rows.first() == Some(&row) => Link::Closed,
        // A circle that does not come back to the first is found from one of its own.
        Some(row) if !rows.contains(&row) => Link::Next(row),
        _ => Link::Broken,
    }
}

/// The rows of a circle that are still to get their new values.
#[derive(Clone, Debug)]
pub struct Circle<R>(BTreeSet<R>);

impl<R: Ord> Circle<R> {
    /// A circle of these rows, to none of which its event was applied yet.
    pub fn of(rows: impl IntoIterator<Item = R>) -> Self {
        Self(rows.into_iter().collect())
    }

    /// How many rows there are.
    pub fn size(&self) -> usize {
        self.0.len()
    }

    /// Whether the event of a row is still to be applied: then it may take a stand-in for a value that is in the way, and be referred
    /// to later.
    pub fn is_to_come(&self, row: &R) -> bool {
        self.0.contains(row)
    }

    /// Notes that the event of a row was tried; `false` if the circle must not be committed, since a row whose event
    /// did nothing may have stepped aside, and would stay there.
    pub fn tried(&mut self, row: &R, is_applied: bool) -> bool {
        self.0.remove(row);
        is_applied
    }
}
