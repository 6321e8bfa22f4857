//! Where an event of the inbox stands.

use sea_orm::sea_query::{Condition, Expr};

use super::{OPEN, SETTLED};
use crate::names::closed_set;

closed_set! {
    "status of an inbox event":
    /// What became of an event of the inbox.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    #[non_exhaustive]
    pub enum Status {
        /// It was applied, or was older than what is here.
        Processed = "processed",
        /// It failed and is tried again.
        Failed = "failed",
        /// It waits for what it lacks.
        Parked = "parked",
        /// It is in the DLQ, or where that is off, here.
        Dead = "dead",
    }
}

impl Status {
    /// What is done, as bound values.
    pub(crate) const SETTLED: [Self; 2] = [Self::Processed, Self::Dead];

    /// A literal rather than a bound value, since a partial index serves only a condition that is known when it is planned.
    pub(super) fn is(self) -> Expr {
        Expr::cust(format!("status = '{self}'"))
    }

    /// The same, and in the words of the partial indexes.
    pub(crate) fn condition(self) -> Condition {
        let indexed = match self {
            Self::Failed | Self::Parked => OPEN,
            Self::Processed | Self::Dead => SETTLED,
        };
        Condition::all().add(self.is()).add(Expr::cust(indexed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_the_partial_indexes_are_names_of_statuses() {
        let [processed, failed, parked, dead] = Status::ALL;
        assert_eq!(SETTLED, format!("status IN ('{processed}', '{dead}')"));
        assert_eq!(OPEN, format!("status IN ('{parked}', '{failed}')"));
        assert_eq!(Status::SETTLED, [processed, dead]);
    }
}
