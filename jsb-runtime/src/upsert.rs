//! Applies one event to one row, past the hooks, so that nothing that is applied is published back.

pub(crate) mod collision;
mod decide;
mod here;
mod keep;

pub use decide::{Change, Found, decide, is_kept};
use here::{Here, look_up};
pub(crate) use here::{Overtaken, lock_for, overtaken};
pub(crate) use keep::{keep, keep_by_hooks};
use sea_orm::sea_query::Value;
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr};

use crate::causes::chain;
use crate::dialect::{self, Fault};
use crate::event::Envelope;
use crate::handler::HandlerError;
use crate::payload::PayloadError;
use crate::problems::Problems;
use crate::schema::{Said, Schema, Values};
use crate::syncable::OnDelete;
use crate::version::Version;
use crate::{clock, keys, tombstone};

/// Who applies an event.
#[derive(Clone, Copy)]
pub(crate) struct Applier<'a> {
    pub(crate) app: &'a str,
    /// Of the bridge that applies it; none, if the application does.
    pub(crate) problems: Option<&'a Problems>,
}

/// What applying an event did to its row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Effect {
    /// The row is as the event says.
    Applied,
    /// The row, or its tombstone, is newer than the event; nothing was written.
    Stale,
}

/// Why an event could not be applied.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApplyError {
    /// The payload does not fit the entity.
    #[error(transparent)]
    Payload(#[from] PayloadError),
    /// No entity and no handler in this binary takes such an event.
    #[error(
        "nothing here takes `{event_type}` events of `{resource}`: deploy a program with that entity or handler, and replay \
         (the linker drops a crate that nothing names: `use it as _;`)"
    )]
    Unknown {
        /// The resource.
        resource: String,
        /// The event type.
        event_type: String,
    },
    /// The version is more than a year ahead of this side's clock.
    #[error(
        "version {} is more than a year ahead of this side's clock: mend the clock that is wrong, and save the row there again", .0.time()
    )]
    VersionInFuture(Version),
    /// The row is not here, and tombstones as new as the event were pruned: it may have been deleted.
    #[error(
        "the row is not here and version {} is not above the pruned tombstones, so it may have been deleted: if it should be \
         here, save it again on the other side", .0.time()
    )]
    OlderThanTombstones(Version),
    /// The database refused.
    #[error(transparent)]
    Db(#[from] DbErr),
    /// A custom handler failed.
    #[error("handler {name} failed: {error}")]
    Handler {
        /// The handler's path.
        name: &'static str,
        /// Its error.
        error: HandlerError,
    },
}

impl ApplyError {
    /// The error with its causes, in one line.
    pub(crate) fn described(&self) -> String {
        match self {
            Self::Handler { name, error } => format!("handler {name} failed: {}", chain(error.error())),
            other => chain(other),
        }
    }

    /// Whether it came out of a custom handler.
    pub(crate) fn is_handlers(&self) -> bool {
        matches!(self, Self::Handler { .. })
    }

    /// Whether the database is away.
    pub(crate) fn is_outage(&self) -> bool {
        matches!(self, Self::Db(error) if dialect::fault(error) == Fault::Outage)
    }

    /// Whether the database waited for no longer than its user may.
    pub(crate) fn is_timeout(&self) -> bool {
        matches!(self, Self::Db(error) if dialect::is_timeout(error))
    }

    /// Whether the connection to the database ended.
    pub(crate) fn ended_connection(&self) -> bool {
        matches!(self, Self::Db(error) if dialect::ended_connection(error))
    }

    /// What the DLQ calls the error.
    pub(crate) fn class(&self) -> &'static str {
        match self {
            Self::Payload(_) => "PayloadError",
            Self::Unknown { .. } => "UnknownEvent",
            Self::VersionInFuture(_) => "VersionInFuture",
            Self::OlderThanTombstones(_) => "OlderThanTombstones",
            Self::Db(_) => "DatabaseError",
            Self::Handler { .. } => "HandlerError",
        }
    }
}

/// Takes the key's lock, compares versions, and writes what the event says if it is the newer one.
pub(crate) async fn apply(
    txn: &DatabaseTransaction,
    schema: &Schema,
    event: &Envelope,
    applier: Applier<'_>,
) -> Result<Effect, ApplyError> {
    let said = schema.said_by(event)?;
    if said.version.is_too_far_ahead(clock::now()) {
        return Err(ApplyError::VersionInFuture(said.version));
    }
    dialect::lock_key(txn, schema.resource, &said.id).await?;
    let deletes = event.deletes();
    let Here { found, is_own_key } = look_up(txn, schema, &said.key, &said.id, lock_for(deletes)).await?;
    if is_own_key && collision::is_likely(schema, event, &said, &found) {
        collision::notice(txn, schema, &[(event, &said)], applier).await?;
    }
    let Said { key, id, version, values: row } = said;
    match decide(version, deletes, &event.producer, &found, applier.app) {
        Change::Stale => return Ok(Effect::Stale),
        Change::OlderThanTombstones => return Err(ApplyError::OlderThanTombstones(version)),
        Change::Delete if schema.on_delete == OnDelete::Ignore => {}
        Change::Delete => {
            txn.execute(&schema.delete(schema.has_key(&key))).await?;
            tombstone::put(txn, schema.resource, &id, version).await?;
        }
        Change::Update => update(txn, schema, row, &key).await?,
        Change::Insert => {
            if is_own_key {
                keys::pass_over_applied(txn, schema, [&row]).await?;
            }
            insert(txn, schema, row).await?;
        }
    }
    Ok(Effect::Applied)
}

pub(crate) async fn insert(txn: &DatabaseTransaction, schema: &Schema, row: Values) -> Result<(), DbErr> {
    txn.execute(&schema.insert([row])).await.map(drop)
}

pub(crate) async fn update(
    txn: &DatabaseTransaction,
    schema: &Schema,
    row: Values,
    key: &[Value],
) -> Result<(), DbErr> {
    txn.execute(&schema.update(row, schema.has_key(key))).await.map(drop)
}
