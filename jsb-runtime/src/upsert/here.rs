//! What is known here of a key, as an event finds it.

use sea_orm::sea_query::{LockType, Query, SelectStatement, Value};
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr};

use super::{ApplyError, Found};
use crate::event::Envelope;
use crate::schema::Schema;
use crate::version::{self, Version};
use crate::{keys, tombstone};

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
    let Here { found, .. } = look_up(txn, schema, &key, &id, LockType::KeyShare).await?;
    let here =
        found.row.max(found.tombstone).filter(|here| !version::wins(version, &event.producer, Some(*here), own_app));
    Ok(here.map(|here| Overtaken { event: version, here }))
}

/// The lock on a row that is about to be written. One for a delete waits until nobody adds a child, which in a busy
/// application may be never.
pub(crate) fn lock_for(deletes: bool) -> LockType {
    if deletes { LockType::Update } else { LockType::NoKeyUpdate }
}

pub(super) struct Here {
    pub(super) found: Found,
    /// Whether this node could draw the key.
    pub(super) is_own_key: bool,
}

/// What [`look_up`] finds, beside the column of the entity's.
const TOMBSTONE: &str = "jsb_tombstone";
const PRUNED: &str = "jsb_pruned";
const IS_OWN_KEY: &str = "jsb_is_own_key";

/// Finds it by one statement: an event that comes alone waits for each.
pub(super) async fn look_up(
    txn: &DatabaseTransaction,
    schema: &Schema,
    key: &[Value],
    id: &str,
    lock: LockType,
) -> Result<Here, DbErr> {
    let row = row_version(schema, key, lock);
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

/// The version of the row with this key, under a lock that keeps others from changing it until the transaction ends.
pub(super) async fn stored_version(
    txn: &DatabaseTransaction,
    schema: &Schema,
    key: &[Value],
    lock: LockType,
) -> Result<Option<Version>, DbErr> {
    let row = txn.query_one(&row_version(schema, key, lock)).await?;
    Ok(row.map(|row| (schema.types.version_of)(&row)).transpose()?.flatten())
}

fn row_version(schema: &Schema, key: &[Value], lock: LockType) -> SelectStatement {
    schema.select([schema.version], schema.has_key(key)).lock(lock).to_owned()
}
