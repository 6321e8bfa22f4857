//! Applies one event to one row, past the hooks, so that nothing that is applied is published back.

use sea_orm::sea_query::{LockType, Value};
use sea_orm::{ActiveModelTrait, ConnectionTrait, DatabaseTransaction, DbErr, EntityTrait, IdenStatic};
use sea_orm::{QueryFilter, QuerySelect, QueryTrait};

use crate::causes::chain;
use crate::dialect::{self, Fault};
use crate::event::{Envelope, event_type};
use crate::handler::HandlerError;
use crate::payload::PayloadError;
use crate::syncable::{ActiveModelOf, OnDelete, Syncable, VersionType};
use crate::version::{self, Version};
use crate::{clock, row, tombstone};

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
pub(crate) async fn apply<M: Syncable>(
    txn: &DatabaseTransaction,
    event: &Envelope,
    own_app: &str,
) -> Result<Effect, ApplyError> {
    let row = row::active_model_in::<M>(event)?;
    let version = row::version_in::<M>(event)?;
    if version.is_too_far_ahead(clock::now()) {
        return Err(ApplyError::VersionInFuture(version));
    }
    let key = row::key_in::<M>(event)?;
    let id = row::resource_id(key.iter().cloned());
    dialect::lock_key(txn, M::RESOURCE, &id).await?;
    let found = found::<M>(txn, &key, &id).await?;
    let deletes = event.event_type == event_type::DELETED;
    match decide(version, deletes, &event.producer, &found, own_app) {
        Change::Stale => return Ok(Effect::Stale),
        Change::OlderThanTombstones => return Err(ApplyError::OlderThanTombstones(version)),
        Change::Delete if M::ON_DELETE == OnDelete::Ignore => {}
        Change::Delete => {
            M::Entity::delete_many().filter(row::has_key::<M>(&key)).exec(txn).await?;
            tombstone::put(txn, M::RESOURCE, &id, version).await?;
        }
        Change::Update => update::<M>(txn, row, &key).await?,
        Change::Insert => M::Entity::insert(row).exec_without_returning(txn).await.map(drop)?,
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
pub(crate) async fn overtaken<M: Syncable>(
    txn: &DatabaseTransaction,
    event: &Envelope,
    own_app: &str,
) -> Result<Option<Overtaken>, ApplyError> {
    let (version, key) = (row::version_in::<M>(event)?, row::key_in::<M>(event)?);
    let row = stored_version::<M, _>(txn, &key, LockType::KeyShare).await?;
    let deleted = tombstone::find(txn, M::RESOURCE, &row::resource_id(key.into_iter())).await?;
    let here = row.max(deleted).filter(|here| !version::wins(version, &event.producer, Some(*here), own_app));
    Ok(here.map(|here| Overtaken { event: version, here }))
}

async fn found<M: Syncable>(txn: &DatabaseTransaction, key: &[Value], id: &str) -> Result<Found, DbErr> {
    let row = stored_version::<M, _>(txn, key, LockType::Update).await?;
    let tombstone = tombstone::find(txn, M::RESOURCE, id).await?;
    let pruned = if row.is_none() { tombstone::highest_pruned(txn).await? } else { None };
    Ok(Found { row, tombstone, pruned })
}

/// Not through the active model's own `update`, which runs the hooks.
pub(crate) async fn update<M: Syncable>(
    txn: &DatabaseTransaction,
    mut row: ActiveModelOf<M>,
    key: &[Value],
) -> Result<(), DbErr> {
    row::key_columns::<M>().for_each(|column| row.not_set(column));
    M::Entity::update_many().set(row).filter(row::has_key::<M>(key)).exec(txn).await.map(drop)
}

/// The version of the row with this key, under a lock that keeps others from changing it until the transaction ends.
pub(crate) async fn stored_version<M: Syncable, C: ConnectionTrait>(
    db: &C,
    key: &[Value],
    lock: LockType,
) -> Result<Option<Version>, DbErr> {
    let select = M::Entity::find().select_only().column(M::VERSION).filter(row::has_key::<M>(key)).lock(lock);
    let found = db.query_one(select.as_query()).await?;
    let version = found.map(|row| row.try_get::<M::Version>("", M::VERSION.as_str())).transpose()?;
    Ok(version.map(VersionType::into_version))
}

/// Keeps a parent that the other side deleted while it still has children here: it gets a version above the delete, and
/// is published, so that it comes back on the other side. `false` if it is gone or newer than the delete by now.
pub(crate) async fn keep<M: Syncable>(txn: &DatabaseTransaction, event: &Envelope) -> Result<bool, ApplyError> {
    let key = row::key_in::<M>(event)?;
    let id = row::resource_id(key.iter().cloned());
    dialect::lock_key(txn, M::RESOURCE, &id).await?;
    let here = stored_version::<M, _>(txn, &key, LockType::Update).await?;
    let deleted = row::version_in::<M>(event)?;
    if !is_kept(here, deleted) {
        return Ok(false);
    }
    // A save draws above the version that it finds.
    let mut above = <ActiveModelOf<M> as ActiveModelTrait>::default();
    row::set_version::<M>(&mut above, deleted);
    update::<M>(txn, above.clone(), &key).await?;
    for (column, value) in row::key_columns::<M>().zip(key) {
        above.set(column, value);
    }
    above.update(txn).await?;
    Ok(true)
}
