//! Sent events go out once more, for a server that lost what it had acknowledged.

use chrono::{DateTime, Utc};
use sea_orm::{DatabaseConnection, DbErr};

use super::outbox::unsend;
use crate::lease::Lease;
use crate::outbox;

/// Why events were not made pending again, or not all of them. Doing it again goes on with the rest.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RepublishError {
    /// The database failed.
    #[error("after {republished} events: {source}")]
    Db {
        /// How many are pending again.
        republished: u64,
        /// What the database says.
        source: DbErr,
    },
    /// Another process took the relay's lease meanwhile, or may have, so the order could not be kept.
    #[error(
        "after {republished} events or a few more another process took the relay's lease, or may have: do it again once the \
         relay is idle"
    )]
    Disturbed {
        /// How many are pending again, but for a batch that was on its way to the database.
        republished: u64,
    },
}

/// Makes the events that were sent at this time or later pending again, of one resource or of all; returns how many.
/// They keep their ids, and what the other side has processed it ignores. Their messages get new ones: within its duplicate window
/// the server would take them for what it has seen.
///
/// The relay stands still meanwhile, for five seconds and as long as the changes take, so that no newer event of a row
/// overtakes its older ones. `progress` hears how many were changed, now and then.
///
/// # Errors
///
/// [`RepublishError`], with how many are pending again.
///
/// # Example
///
/// ```
/// # async fn example(db: &sea_orm::DatabaseConnection) -> Result<(), jsb_runtime::operate::RepublishError> {
/// use chrono::{TimeDelta, Utc};
///
/// // The server came back without the last hour.
/// let an_hour_ago = Utc::now() - TimeDelta::hours(1);
/// let republished = jsb_runtime::operate::republish(db, an_hour_ago, None, |_| {}).await?;
/// println!("{republished} events are pending again");
/// # Ok(())
/// # }
/// ```
pub async fn republish(
    db: &DatabaseConnection,
    since: DateTime<Utc>,
    resource: Option<&str>,
    progress: impl FnMut(u64),
) -> Result<u64, RepublishError> {
    let mut lease = Lease::new(outbox::LEASE);
    let mut republished = 0;
    let outcome = unsend_all(db, since, resource, &mut lease, &mut republished, progress).await;
    let released = lease.release(db).await;
    outbox::hint();
    match outcome.and_then(|finished| released.map(|()| finished)) {
        Ok(true) => Ok(republished),
        Ok(false) => Err(RepublishError::Disturbed { republished }),
        Err(source) => Err(RepublishError::Db { republished, source }),
    }
}

/// Whether it came to the end, rather than lose the lease.
async fn unsend_all(
    db: &DatabaseConnection,
    since: DateTime<Utc>,
    resource: Option<&str>,
    lease: &mut Lease,
    republished: &mut u64,
    mut progress: impl FnMut(u64),
) -> Result<bool, DbErr> {
    lease.seize(db).await?;
    let (mut after, mut is_held) = (None, lease.hold(db).await?);
    while is_held {
        // In a large outbox the first batch alone may take longer than the lease lives.
        let Some(batch) = lease.beside(db, unsend(db, since, resource, after)).await? else { return Ok(false) };
        let Some((changed, last)) = batch else { return Ok(true) };
        *republished += changed;
        after = Some(last);
        progress(*republished);
        // Whoever hears of the progress may take long.
        is_held = lease.keep(db).await?;
    }
    Ok(false)
}
