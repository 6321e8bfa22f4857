//! Applies one event to one row, past the hooks, so that nothing that is applied is published back.

use sea_orm::sea_query::{LockType, Query, Value};
use sea_orm::{ActiveModelTrait, ConnectionTrait, DatabaseTransaction, DbErr};

use crate::causes::chain;
use crate::dialect::{self, Fault};
use crate::event::{Envelope, NewEvent, event_type};
use crate::handler::HandlerError;
use crate::payload::PayloadError;
use crate::schema::{Said, Schema, Values};
use crate::syncable::{ActiveModelOf, OnDelete, Syncable};
use crate::version::{self, Version};
use crate::{clock, direct, hooks, keys, row, tombstone};

/// What became of an event that was not in the way of anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Effect {
    /// The row is as the event says.
    Applied,
    /// The row, or its tombstone, is newer than the event; nothing was written.
    Stale,
}

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

/// Why an event could not be applied.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApplyError {
    /// The payload does not fit the entity.
    #[error(transparent)]
    Payload(#[from] PayloadError),
    /// No entity and no handler in this binary takes such an event.
    #[error("nothing here takes `{event_type}` events of `{resource}`")]
    Unknown {
        /// The resource.
        resource: String,
        /// The event type.
        event_type: String,
    },
    /// The version is more than a year ahead of this side's clock.
    #[error("version {} is more than a year ahead of this side's clock", .0.time())]
    VersionInFuture(Version),
    /// The row is not here, and tombstones as new as the event were pruned: it may have been deleted.
    #[error("the row is not here and version {} is not above the pruned tombstones", .0.time())]
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
            Self::Handler { name, error } => format!("handler {name} failed: {}", chain(error.source())),
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
    own_app: &str,
) -> Result<Effect, ApplyError> {
    let Said { key, id, version, values: row } = schema.said_by(event)?;
    if version.is_too_far_ahead(clock::now()) {
        return Err(ApplyError::VersionInFuture(version));
    }
    dialect::lock_key(txn, schema.resource, &id).await?;
    let deletes = event.event_type == event_type::DELETED;
    let Here { found, is_own_key } = found(txn, schema, &key, &id, lock_for(deletes)).await?;
    match decide(version, deletes, &event.producer, &found, own_app) {
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

/// Two versions of which that of the event loses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Overtaken {
    pub(crate) event: Version,
    pub(crate) here: Version,
}

/// Whether the row here or its tombstone is newer than an event, as it is now: nothing keeps it from changing.
pub(crate) async fn overtaken(
    txn: &DatabaseTransaction,
    schema: &Schema,
    event: &Envelope,
    own_app: &str,
) -> Result<Option<Overtaken>, ApplyError> {
    let (version, (key, id)) = (schema.version_in(event)?, schema.key_in(event)?);
    let Here { found, .. } = found(txn, schema, &key, &id, LockType::KeyShare).await?;
    let here =
        found.row.max(found.tombstone).filter(|here| !version::wins(version, &event.producer, Some(*here), own_app));
    Ok(here.map(|here| Overtaken { event: version, here }))
}

/// The lock on a row that is about to be written. One for a delete waits until nobody adds a child, which in a busy
/// application may be never.
pub(crate) fn lock_for(deletes: bool) -> LockType {
    if deletes { LockType::Update } else { LockType::NoKeyUpdate }
}

/// What is known here of a key.
struct Here {
    found: Found,
    /// Whether this node could draw it.
    is_own_key: bool,
}

/// What [`found`] finds, beside the column of the entity's.
const TOMBSTONE: &str = "jsb_tombstone";
const PRUNED: &str = "jsb_pruned";
const IS_OWN_KEY: &str = "jsb_is_own_key";

/// By one statement: an event that comes alone waits for each.
async fn found(
    txn: &DatabaseTransaction,
    schema: &Schema,
    key: &[Value],
    id: &str,
    lock: LockType,
) -> Result<Here, DbErr> {
    let row = schema.select([schema.version], schema.has_key(key)).lock(lock).to_owned();
    let select = Query::select()
        .expr_as(row, schema.columns[schema.version].name)
        .expr_as(tombstone::version_of(schema.resource, id), TOMBSTONE)
        .expr_as(tombstone::highest_pruned(), PRUNED)
        .expr_as(keys::is_own(schema, key), IS_OWN_KEY)
        .to_owned();
    let row = txn.query_one(&select).await?.ok_or_else(|| DbErr::RecordNotFound("a row of no table".to_owned()))?;
    let found = Found {
        row: (schema.types.version_of)(&row)?,
        tombstone: tombstone::version_in(&row, TOMBSTONE)?,
        pruned: tombstone::version_in(&row, PRUNED)?,
    };
    Ok(Here { found, is_own_key: row.try_get("", IS_OWN_KEY)? })
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

/// The version of the row with this key, under a lock that keeps others from changing it until the transaction ends.
async fn stored_version(
    txn: &DatabaseTransaction,
    schema: &Schema,
    key: &[Value],
    lock: LockType,
) -> Result<Option<Version>, DbErr> {
    let select = schema.select([schema.version], schema.has_key(key)).lock(lock).to_owned();
    let row = txn.query_one(&select).await?;
    Ok(row.map(|row| (schema.types.version_of)(&row)).transpose()?.flatten())
}

/// Keeps a parent that the other side deleted while it still has children here: it gets a version above the delete, and
/// is published, so that it comes back on the other side. `false` if it is gone or newer than the delete by now.
pub(crate) async fn keep(txn: &DatabaseTransaction, schema: &Schema, event: &Envelope) -> Result<bool, ApplyError> {
    let Some(key) = may_keep(txn, schema, event).await? else { return Ok(false) };
    hooks::may_save(txn).await?;
    let version = hooks::drawn(schema.resource, Some(schema.version_in(event)?))?;
    update(txn, schema, schema.versioned(version), &key).await?;
    let kept = txn.query_one(&schema.select_all(schema.has_key(&key))).await?.ok_or(DbErr::RecordNotUpdated)?;
    let id = row::resource_id(key.into_iter());
    direct::record(txn, NewEvent::new(schema.resource, id, event_type::UPDATED, (schema.types.payload_of)(&kept)?))
        .await?;
    Ok(true)
}

/// As [`keep`], through the application's own hooks.
pub(crate) async fn keep_by_hooks<M: Syncable>(
    txn: &DatabaseTransaction,
    schema: &Schema,
    event: &Envelope,
) -> Result<bool, ApplyError> {
    let Some(key) = may_keep(txn, schema, event).await? else { return Ok(false) };
    // A save draws above the version that it finds.
    let deleted = schema.version_in(event)?;
    update(txn, schema, schema.versioned(deleted), &key).await?;
    let mut above = <ActiveModelOf<M> as ActiveModelTrait>::default();
    row::set_version::<M>(&mut above, deleted);
    for (column, value) in row::key_columns::<M>().zip(key) {
        above.set(column, value);
    }
    above.update(txn).await?;
    Ok(true)
}

/// The key of a row that is to be kept, under its lock; `None` if it is gone or newer than the delete.
async fn may_keep(
    txn: &DatabaseTransaction,
    schema: &Schema,
    event: &Envelope,
) -> Result<Option<Vec<Value>>, ApplyError> {
    let (key, id) = schema.key_in(event)?;
    dialect::lock_key(txn, schema.resource, &id).await?;
    let here = stored_version(txn, schema, &key, lock_for(false)).await?;
    Ok(is_kept(here, schema.version_in(event)?).then_some(key))
}
