//! What version a save or delete draws, and what it must be above.

use sea_orm::sea_query::{LockType, Value};
use sea_orm::{
    ActiveModelTrait, ConnectionTrait, DbErr, EntityTrait, IdenStatic, QueryFilter, QueryResult, QuerySelect,
    QueryTrait,
};

use crate::save::forms::{unwritten_json, write_json_anew};
use crate::save::skip;
use crate::syncable::{ActiveModelOf, ColumnOf, Syncable, VersionType};
use crate::version::{self, Version};
use crate::{clock, dialect, keys, row, tombstone};

/// The version of a save or delete now.
pub(crate) fn drawn(resource: &str, above: Option<Version>) -> Result<Version, DbErr> {
    let version = version::draw(clock::now(), above);
    if version.is_too_far_ahead(clock::now()) {
        return Err(DbErr::Custom(format!(
            "a `{resource}` has version {}, more than a year ahead of this clock: no save can go above it; mend the clock or the row",
            version.time()
        )));
    }
    Ok(version)
}

/// A save that is not published must not look newer than one that is.
pub(super) async fn keep_version<M: Syncable, C: ConnectionTrait>(
    mut row: ActiveModelOf<M>,
    db: &C,
    insert: bool,
) -> Result<ActiveModelOf<M>, DbErr> {
    if !insert {
        row.not_set(M::VERSION);
        return Ok(row);
    }
    let above = new_version_above::<M, C>(&mut row, db, None).await?;
    // Else the row's next edit, which draws above the row alone, could lose against the tombstone on the other side.
    let stays = row::version_of::<M>(&row).is_some_and(|given| above.is_none_or(|above| given > above));
    if !stays {
        row::set_version::<M>(&mut row, version::draw(clock::now(), above));
    }
    Ok(row)
}

/// The version of the row with this key and what these columns hold, once the row is locked.
async fn locked<M: Syncable, C: ConnectionTrait>(
    db: &C,
    key: &[Value],
    columns: &[ColumnOf<M>],
) -> Result<Option<QueryResult>, DbErr> {
    let found = M::Entity::find().select_only().column(M::VERSION).columns(columns.iter().copied());
    let found = found.filter(row::has_key::<M>(key));
    db.query_one(found.lock(LockType::NoKeyUpdate).as_query()).await
}

/// The version of the row, under its lock; the JSON that is not set is taken from there. A row that is not there may have been
/// deleted and made anew while its lock was waited for; under the key's lock nobody makes one.
pub(super) async fn locked_version<M: Syncable, C: ConnectionTrait>(
    row: &mut ActiveModelOf<M>,
    db: &C,
    key: &[Value],
) -> Result<Option<Version>, DbErr> {
    let json = unwritten_json::<M>(row);
    let mut found = locked::<M, C>(db, key, &json).await?;
    if found.is_none() {
        dialect::lock_key(db, M::RESOURCE, &row::resource_id(key.iter().cloned())).await?;
        found = locked::<M, C>(db, key, &json).await?;
    }
    let Some(found) = found else { return Ok(None) };
    write_json_anew::<M>(row, &json, &found)?;
    let version: M::Version = found.try_get("", M::VERSION.as_str())?;
    Ok(Some(version.into_version()))
}

/// The version of the key's tombstone, under the key's lock: an applied event of this key may be on its way.
async fn deleted_version<M: Syncable, C: ConnectionTrait>(db: &C, key: &[Value]) -> Result<Option<Version>, DbErr> {
    let id = row::resource_id(key.iter().cloned());
    dialect::lock_key(db, M::RESOURCE, &id).await?;
    tombstone::find(db, M::RESOURCE, &id).await
}

/// What a new row's version must be above. Its key is drawn if it was not chosen; whether the keys are interleaved may be known.
pub(super) async fn new_version_above<M: Syncable, C: ConnectionTrait>(
    row: &mut ActiveModelOf<M>,
    db: &C,
    are_keys_interleaved: Option<bool>,
) -> Result<Option<Version>, DbErr> {
    let Some(key) = row::key_of::<M>(row) else {
        return keys::draw::<M, C>(row, db, are_keys_interleaved).await.map(|()| None);
    };
    match skip::publishing_is_skipped() {
        true => keys::pass_over::<M, C>(db, &key).await?,
        false => keys::take::<M, C>(db, &key).await?,
    }
    deleted_version::<M, C>(db, &key).await
}
