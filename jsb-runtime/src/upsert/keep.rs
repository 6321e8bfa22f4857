//! A parent that the other side deleted while it still has children here.

use sea_orm::sea_query::Value;
use sea_orm::{ActiveModelTrait, ConnectionTrait, DatabaseTransaction, DbErr, EntityTrait, QueryFilter};

use super::here::{lock_for, stored_version};
use super::{ApplyError, is_kept, update};
use crate::event::{Envelope, NewEvent, event_type};
use crate::schema::Schema;
use crate::syncable::{ActiveModelOf, Syncable};
use crate::{capture, dialect, hooks, row};

/// Keeps the parent: it gets a version above the delete, and is published, so that it comes back on the other side. `false` if it is
/// gone or newer than the delete by now.
pub(crate) async fn keep(txn: &DatabaseTransaction, schema: &Schema, event: &Envelope) -> Result<bool, ApplyError> {
    let Some(key) = may_keep(txn, schema, event).await? else { return Ok(false) };
    hooks::may_save(txn).await?;
    let version = hooks::drawn(schema.resource, Some(schema.version_in(event)?))?;
    update(txn, schema, schema.versioned(version), &key).await?;
    let kept = txn.query_one(&schema.select_all(schema.has_key(&key))).await?.ok_or(DbErr::RecordNotUpdated)?;
    let id = row::resource_id(key.into_iter());
    capture::record(txn, NewEvent::new(schema.resource, id, event_type::UPDATED, (schema.types.payload_of)(&kept)?))
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
    // A save draws above the version that it finds. The hooks get the whole row, as from anybody who has read it.
    let deleted = schema.version_in(event)?;
    update(txn, schema, schema.versioned(deleted), &key).await?;
    let found = <M::Entity as EntityTrait>::find().filter(row::has_key::<M>(&key)).one(txn).await?;
    let mut above: ActiveModelOf<M> = found.ok_or(DbErr::RecordNotUpdated)?.into_active_model();
    row::set_version::<M>(&mut above, deleted);
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
