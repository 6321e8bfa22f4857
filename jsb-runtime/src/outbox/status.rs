//! The statuses of the outbox, and the words in which SQL asks for one.

use sea_orm::sea_query::Expr;

use crate::names::closed_set;

closed_set! {
    "status of an outbox event":
    /// Where an event of the outbox stands.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    #[non_exhaustive]
    pub enum Status {
        /// It waits to be published.
        Pending = "pending",
        /// It can never be published as it is.
        Failed = "failed",
        /// JetStream has acknowledged it.
        Sent = "sent",
    }
}

impl Status {
    /// A literal rather than a bound value, in the words of the partial indexes.
    pub(crate) fn condition(self) -> Expr {
        Expr::cust(format!("status = '{self}'"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbox::IS_PENDING;

    #[test]
    fn the_words_of_the_partial_index_are_the_name_of_a_status() {
        assert_eq!(IS_PENDING, format!("status = '{}'", Status::Pending));
    }
}
