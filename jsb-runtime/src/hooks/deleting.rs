//! A delete: the row that goes is read, and leaves a tombstone and its event.

use sea_orm::sea_query::LockType;
use sea_orm::{ActiveModelTrait, ConnectionTrait, DbErr, EntityTrait, IdenStatic, QueryFilter, QuerySelect};
use serde_json::{Map, Value as Json};

use super::versions::drawn;
use super::{admit, must_be_in_transaction, publish_row, settings_of};
use crate::event::event_type;
use crate::payload::PayloadError;
use crate::save::{self, Call, mark, skip};
use crate::syncable::{ActiveModelOf, OnDelete, Syncable};
use crate::{dialect, row, tombstone};

pub(super) fn publishes_delete<M: Syncable>() -> bool {
    M::ON_DELETE == OnDelete::Apply && !skip::publishing_is_skipped()
}

pub(super) async fn load_doomed<M: Syncable, C: ConnectionTrait>(
    row: ActiveModelOf<M>,
    db: &C,
) -> Result<ActiveModelOf<M>, DbErr> {
    save::begin(Call::delete::<M>());
    must_be_in_transaction::<M, C>()?;
    let Some(key) = row::key_of::<M>(&row) else { return Ok(row) };
    if publishes_delete::<M>() {
        admit(&settings_of::<M, C>(db).await?)?;
    }
    dialect::lock_key(db, M::RESOURCE, &row::resource_id(key.iter().cloned())).await?;
    let found = M::Entity::find().filter(row::has_key::<M>(&key)).lock(LockType::Update).one(db).await?;
    let doomed = match found {
        Some(found) => found.into_active_model(),
        None => absent::<M>(row),
    };
    if publishes_delete::<M>() {
        // What would be refused is, before anything is written.
        drawn(M::RESOURCE, row::version_of::<M>(&doomed))?;
        mark::set(db).await?;
    }
    Ok(doomed)
}

/// An active model without a version tells `after_delete` that there was no row.
fn absent<M: Syncable>(mut row: ActiveModelOf<M>) -> ActiveModelOf<M> {
    row.not_set(M::VERSION);
    row
}

/// Publishes the row's last state; its version is the tombstone's. That is drawn here, since SeaORM throws away what
/// `before_delete` gives back for the rows between two entities.
pub(super) async fn publish_delete<M: Syncable, C: ConnectionTrait>(
    mut row: ActiveModelOf<M>,
    db: &C,
) -> Result<(), DbErr> {
    let Some(version) = row::version_of::<M>(&row) else { return Ok(()) };
    row::set_version::<M>(&mut row, drawn(M::RESOURCE, Some(version))?);
    leave_tombstone::<M, C>(&row, db).await?;
    publish_row::<M, C>(&row, db, event_type::DELETED, last_state::<M>(&row)).await
}

/// All that the row held, without what has no form on the wire: the other side needs the key and the version.
fn last_state<M: Syncable>(row: &ActiveModelOf<M>) -> Result<Json, PayloadError> {
    let mut state = Map::new();
    for field in M::FIELDS {
        let mut needed = row::key_columns::<M>().chain([M::VERSION]);
        match row::wire_form::<M>(row, field) {
            Ok(json) => drop(state.insert(field.name().to_owned(), json)),
            Err(error) if needed.any(|column| column.as_str() == field.column.as_str()) => return Err(error),
            Err(_) => {}
        }
    }
    Ok(Json::Object(state))
}

/// Leaves a tombstone of the row's version; none, if there was no row.
pub(super) async fn leave_tombstone<M: Syncable, C: ConnectionTrait>(
    row: &ActiveModelOf<M>,
    db: &C,
) -> Result<(), DbErr> {
    match (row::key_of::<M>(row), row::version_of::<M>(row)) {
        (Some(key), Some(version)) => {
            tombstone::put(db, M::RESOURCE, &row::resource_id(key.into_iter()), version).await
        }
        _ => Ok(()),
    }
}
