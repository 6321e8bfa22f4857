//! For operators: what a running bridge does not do by itself. The command line is made of these, and an application may
//! call them as well.

mod connection;
mod dlq;
mod drain;
mod health;
mod letter;
mod provision;
mod replay;
mod report;
mod republish;
mod stream;
mod sweep;

use sea_orm::{DatabaseConnection, DbErr};
use serde::Serialize;

pub use crate::preflight::check_owner;
pub use connection::{Connection, OperateError};
pub(crate) use connection::{PATIENCE, as_user};
pub use dlq::{Dlq, FoundLetters};
pub use drain::{Drained, process_pending};
pub use health::{Check, Finding, Limits};
pub use letter::Letter;
pub use provision::Provisioner;
pub use replay::{Replay, ReplayError, Replayer};
pub use report::{Extent, Part, Report, report};
pub use republish::{RepublishError, republish};
pub use sweep::{SweepError, Swept};

pub use crate::inbox::operate as inbox;
pub use crate::jetstream::{ConsumerState, StreamError, StreamState};
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

/// Does what changes up to so many events at a time until fewer are left; returns how many it were. `progress` hears it.
pub(crate) async fn in_batches<F: Future<Output = Result<u64, DbErr>>>(
    change: impl Fn(u64) -> F,
    mut progress: impl FnMut(u64),
) -> Result<u64, DbErr> {
    let mut changed = 0;
    loop {
        let batch = change(BATCH as u64).await?;
        changed += batch;
        progress(changed);
        if batch < BATCH as u64 {
            return Ok(changed);
        }
    }
}

/// What became of events that were to be tried again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
#[must_use]
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
