//! For operators: what a running bridge does not do by itself. The command line is made of these, and an application may
//! call them as well.

mod drain;
mod republish;

use sea_orm::{DatabaseConnection, DbErr};
use serde::Serialize;

pub use drain::{Drained, process_pending};
pub use republish::{RepublishError, republish};

pub use crate::inbox::operate as inbox;
pub use crate::outbox::operate as outbox;
use crate::status::Status;

/// How many events are changed in one transaction, so that neither relay nor consumer waits long for it.
pub(crate) const BATCH: usize = 1_000;

/// How many events stand where, as the tables say.
///
/// # Errors
///
/// When the database fails.
pub async fn tables(db: &DatabaseConnection) -> Result<Status, DbErr> {
    Status::read(db, false, Vec::new()).await
}

/// What became of events that were to be tried again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Retried {
    /// How many are due now.
    pub retried: u64,
    /// Those that stay as they are.
    pub refused: Vec<Refused>,
    /// Ids of which there is no event.
    pub unknown: Vec<String>,
}

/// An event that was not to be tried again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Refused {
    /// Its id.
    pub event_id: String,
    /// Why.
    pub why: String,
}
