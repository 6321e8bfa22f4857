//! The hooks of every synced entity. The derive calls them; an entity with hooks of its own calls them from there: last in
//! `before_save` and `before_delete`, and first in `after_save` and `after_delete`, so that nothing of the application's stands
//! between them and the row's own statement, and what is sent is what the row holds.
//!
//! ```
//! # mod note {
//! use jsb_runtime::prelude::*;
//! use sea_orm::entity::prelude::*;
//!
//! #[derive(Clone, Debug, PartialEq, DeriveEntityModel, Syncable)]
//! #[sea_orm(table_name = "notes")]
//! #[syncable(resource = "note", behavior = "custom")]
//! pub struct Model {
//!     #[sea_orm(primary_key, auto_increment = false)]
//!     pub id: Uuid,
//!     pub text: String,
//!     pub updated_at: DateTimeUtc,
//! }
//!
//! #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
//! pub enum Relation {}
//!
//! #[async_trait::async_trait]
//! impl ActiveModelBehavior for ActiveModel {
//!     async fn before_save<C: ConnectionTrait>(self, db: &C, insert: bool) -> Result<Self, DbErr> {
//!         if self.text.try_as_ref().is_some_and(|text| text.is_empty()) {
//!             return Err(DbErr::Custom("a note must not be empty".to_owned()));
//!         }
//!         jsb_runtime::hooks::before_save::<Model, _>(self, db, insert).await
//!     }
//!     async fn after_save<C: ConnectionTrait>(model: Model, db: &C, insert: bool) -> Result<Model, DbErr> {
//!         jsb_runtime::hooks::after_save(model, db, insert).await
//!     }
//!     async fn before_delete<C: ConnectionTrait>(self, db: &C) -> Result<Self, DbErr> {
//!         jsb_runtime::hooks::before_delete::<Model, _>(self, db).await
//!     }
//!     async fn after_delete<C: ConnectionTrait>(self, db: &C) -> Result<Self, DbErr> {
//!         jsb_runtime::hooks::after_delete::<Model, _>(self, db).await
//!     }
//! }
//! # }
//! ```

use std::any::type_name;

use rust_decimal::RoundingStrategy;
use sea_orm::sea_query::{LockType, Value};
use sea_orm::{
    ActiveModelTrait, ActiveValue, ColumnDef, ColumnTrait, ColumnType, ConnectionTrait, DatabaseTransaction, DbErr,
    EntityTrait, IdenStatic, Iterable, QueryFilter, QuerySelect, QueryTrait,
};

use crate::event::{NewEvent, event_type};
use crate::save::{self, Saving};
use crate::settings::{self, SaveSettings};
use crate::syncable::{ActiveModelOf, ColumnOf, OnDelete, Syncable, VersionType};
use crate::version::{self, Version};
use crate::{clock, dialect, direct, keys, payload, row, skip, tombstone};

/// Draws the row's version, and its key where this node draws keys itself. The values that are about to be written get the form
/// that they have on the other side too.
///
/// In hooks of your own call it last, and give back what it gives: a value that is set after it may undo the drawn version,
/// or be kept here in another form than is sent.
///
/// # Errors
///
/// [`DbErr::Custom`] when the save could not be atomic with its event, before anything is written.
pub fn before_save<M: Syncable, C: ConnectionTrait>(
    row: ActiveModelOf<M>,
    db: &C,
    insert: bool,
) -> Saving<'_, ActiveModelOf<M>> {
    Box::pin(async move { prepare::<M, C>(row, db, insert).await.map_err(dialect::explained) })
}

/// Records the `created` or `updated` event.
///
/// In hooks of your own call it first, with the model as it came: this is what it sends, so that what is changed before it
/// stands in no row here. What it gives back may be changed.
///
/// # Errors
///
/// When the event cannot be recorded; the row is then not saved either, and on PostgreSQL nothing else of the transaction
/// is kept.
pub fn after_save<M: Syncable, C: ConnectionTrait>(model: M, db: &C, insert: bool) -> Saving<'_, M> {
    Box::pin(async move {
        if !skip::publishing_is_skipped() {
            let event_type = if insert { event_type::CREATED } else { event_type::UPDATED };
            keep_if_recorded(db, publish_row::<M, C>(&model.clone().into_active_model(), db, event_type).await).await?;
        }
        Ok(model)
    })
}

/// Reads the row that is about to be deleted, since its last state travels with the event.
///
/// In hooks of your own call it last, and give back what it gives: [`after_delete`] makes the tombstone and the event of it.
///
/// # Errors
///
/// [`DbErr::Custom`] when the delete could not be atomic with its event, before anything is written.
pub fn before_delete<M: Syncable, C: ConnectionTrait>(row: ActiveModelOf<M>, db: &C) -> Saving<'_, ActiveModelOf<M>> {
    Box::pin(async move { load_doomed::<M, C>(row, db).await.map_err(dialect::explained) })
}

/// Leaves a tombstone and records the `deleted` event; nothing, if there was no row. Within
/// [`skip_publish`](crate::skip_publish), and of an entity whose deletes are not synced, the tombstone has the row's own version,
/// and nothing is recorded.
///
/// In hooks of your own call it first, with the row as it came.
///
/// # Errors
///
/// When the event cannot be recorded; the row is then not deleted either, and on PostgreSQL nothing else of the transaction
/// is kept.
pub fn after_delete<M: Syncable, C: ConnectionTrait>(row: ActiveModelOf<M>, db: &C) -> Saving<'_, ActiveModelOf<M>> {
    Box::pin(async move {
        if publishes_delete::<M>() {
            keep_if_recorded(db, publish_delete::<M, C>(row.clone(), db).await).await?;
        } else {
            // Else an older event could bring the row back, and a new one with this key be older than what the other side
            // has. The other side's next edit, which draws above this version, brings it back.
            leave_tombstone::<M, C>(&row, db).await?;
        }
        Ok(row)
    })
}

async fn prepare<M: Syncable, C: ConnectionTrait>(
    mut row: ActiveModelOf<M>,
    db: &C,
    insert: bool,
) -> Result<ActiveModelOf<M>, DbErr> {
    use_common_forms::<M>(&mut row, insert)?;
    if skip::publishing_is_skipped() {
        return keep_version::<M, C>(row, db, insert).await;
    }
    admit(&settings_in_transaction::<M, C>(db).await?)?;
    let above = match row::key_of::<M>(&row) {
        _ if insert => new_version_above::<M, C>(&mut row, db).await?,
        Some(key) => locked_version::<M, C>(db, &key).await?,
        // SeaORM will say that it is missing.
        None => None,
    };
    let version = drawn(M::RESOURCE, above)?;
    row::set_version::<M>(&mut row, version);
    mark(db).await?;
    Ok(row)
}

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

async fn settings_in_transaction<M: Syncable, C: ConnectionTrait>(db: &C) -> Result<SaveSettings, DbErr> {
    if !is_transaction::<C>() {
        return Err(DbErr::Custom(format!(
            "a `{}` must be saved within a transaction, so that its event commits with it: call `insert`, `update`, `save` or \
             `delete` on the entity's own ActiveModel, which begin one, or pass a `DatabaseTransaction`; \
             `{}` is neither (code that is generic over `C: ConnectionTrait` needs `C: ConnectionTrait + TransactionTrait`)",
            M::RESOURCE,
            type_name::<C>()
        )));
    }
    settings::for_save(db, save::is_alone()).await
}

/// A hook sees a connection and cannot ask it whether it is a transaction, but it can see its type.
fn is_transaction<C>() -> bool {
    type_name::<C>() == type_name::<DatabaseTransaction>()
}

/// Refuses what a save in this transaction would be refused for.
pub(crate) async fn may_save(txn: &DatabaseTransaction) -> Result<(), DbErr> {
    admit(&settings::for_save(txn, false).await?)
}

fn admit(settings: &SaveSettings) -> Result<(), DbErr> {
    if !settings.read_committed {
        return Err(DbErr::Custom(
            "a synced row must be saved at isolation level READ COMMITTED: above it, a save draws its version from a snapshot \
             that may be older than the row"
                .to_owned(),
        ));
    }
    if !settings.use_outbox {
        direct::direct_to(&settings.database_id)?;
    }
    Ok(())
}

/// A save that is not published must not look newer than one that is.
async fn keep_version<M: Syncable, C: ConnectionTrait>(
    mut row: ActiveModelOf<M>,
    db: &C,
    insert: bool,
) -> Result<ActiveModelOf<M>, DbErr> {
    if !insert {
        row.not_set(M::VERSION);
        return Ok(row);
    }
    let above = new_version_above::<M, C>(&mut row, db).await?;
    // Else the row's next edit, which draws above the row alone, could lose against the tombstone on the other side.
    let stays = row::version_of::<M>(&row).is_some_and(|given| above.is_none_or(|above| given > above));
    if !stays {
        row::set_version::<M>(&mut row, version::draw(clock::now(), above));
    }
    Ok(row)
}

/// Gives every value that is about to be written the form that it has on the other side too.
///
/// # Errors
///
/// Where a value has none, such as a JSON column that cannot read what it has written.
pub(crate) fn use_common_forms<M: Syncable>(row: &mut ActiveModelOf<M>, insert: bool) -> Result<(), DbErr> {
    for column in ColumnOf::<M>::iter() {
        let written = match row.get(column) {
            ActiveValue::Set(value) => value,
            // An insert writes these too: it may be made from a whole model.
            ActiveValue::Unchanged(value) if insert => value,
            _ => continue,
        };
        row.try_set(column, common_form(written, &column.def()))?;
    }
    Ok(())
}

/// Timestamps in microseconds; decimals with as many places as their column has, to which PostgreSQL rounds and SQLite does not;
/// and since a payload has one null only, a nullable column holds no other.
fn common_form(value: Value, column: &ColumnDef) -> Value {
    match (payload::cut(value), column.get_column_type()) {
        (Value::Json(Some(json)), _) if json.is_null() && column.is_null() => Value::Json(None),
        (Value::Decimal(Some(number)), ColumnType::Decimal(Some((_, places)))) => {
            Value::Decimal(Some(number.round_dp_with_strategy(*places, RoundingStrategy::MidpointAwayFromZero)))
        }
        (value, _) => value,
    }
}

/// The version of the row with this key, under a lock that keeps others from changing it until the transaction ends.
async fn stored_version<M: Syncable, C: ConnectionTrait>(db: &C, key: &[Value]) -> Result<Option<Version>, DbErr> {
    let found = M::Entity::find().select_only().column(M::VERSION).filter(row::has_key::<M>(key));
    let found = db.query_one(found.lock(LockType::NoKeyUpdate).as_query()).await?;
    let version = found.map(|row| row.try_get::<M::Version>("", M::VERSION.as_str())).transpose()?;
    Ok(version.map(VersionType::into_version))
}

/// The version of the row, under its lock. A row that is not there may have been deleted and made anew while its lock was
/// waited for; under the key's lock nobody makes one.
async fn locked_version<M: Syncable, C: ConnectionTrait>(db: &C, key: &[Value]) -> Result<Option<Version>, DbErr> {
    if let Some(version) = stored_version::<M, C>(db, key).await? {
        return Ok(Some(version));
    }
    dialect::lock_key(db, M::RESOURCE, &row::resource_id(key.iter().cloned())).await?;
    stored_version::<M, C>(db, key).await
}

/// The version of the key's tombstone, under the key's lock: an applied event of this key may be on its way.
async fn deleted_version<M: Syncable, C: ConnectionTrait>(db: &C, key: &[Value]) -> Result<Option<Version>, DbErr> {
    let id = row::resource_id(key.iter().cloned());
    dialect::lock_key(db, M::RESOURCE, &id).await?;
    tombstone::find(db, M::RESOURCE, &id).await
}

/// What a new row's version must be above. Its key is drawn if it was not chosen.
async fn new_version_above<M: Syncable, C: ConnectionTrait>(
    row: &mut ActiveModelOf<M>,
    db: &C,
) -> Result<Option<Version>, DbErr> {
    let Some(key) = row::key_of::<M>(row) else {
        return keys::draw::<M, C>(row, db).await.map(|()| None);
    };
    match skip::publishing_is_skipped() {
        true => keys::pass_over::<M, C>(db, &key).await?,
        false => keys::take::<M, C>(db, &key).await?,
    }
    deleted_version::<M, C>(db, &key).await
}

fn publishes_delete<M: Syncable>() -> bool {
    M::ON_DELETE == OnDelete::Apply && !skip::publishing_is_skipped()
}

async fn load_doomed<M: Syncable, C: ConnectionTrait>(
    row: ActiveModelOf<M>,
    db: &C,
) -> Result<ActiveModelOf<M>, DbErr> {
    let Some(key) = row::key_of::<M>(&row) else { return Ok(row) };
    if publishes_delete::<M>() {
        admit(&settings_in_transaction::<M, C>(db).await?)?;
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
        mark(db).await?;
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
async fn publish_delete<M: Syncable, C: ConnectionTrait>(mut row: ActiveModelOf<M>, db: &C) -> Result<(), DbErr> {
    let Some(version) = row::version_of::<M>(&row) else { return Ok(()) };
    row::set_version::<M>(&mut row, drawn(M::RESOURCE, Some(version))?);
    leave_tombstone::<M, C>(&row, db).await?;
    publish_row::<M, C>(&row, db, event_type::DELETED).await
}

/// Leaves a tombstone of the row's version; none, if there was no row.
async fn leave_tombstone<M: Syncable, C: ConnectionTrait>(row: &ActiveModelOf<M>, db: &C) -> Result<(), DbErr> {
    match (row::key_of::<M>(row), row::version_of::<M>(row)) {
        (Some(key), Some(version)) => {
            tombstone::put(db, M::RESOURCE, &row::resource_id(key.into_iter()), version).await
        }
        _ => Ok(()),
    }
}

async fn publish_row<M: Syncable, C: ConnectionTrait>(
    row: &ActiveModelOf<M>,
    db: &C,
    event_type: &str,
) -> Result<(), DbErr> {
    let payload = row::payload_of::<M>(row).map_err(|error| DbErr::Custom(error.to_string()))?;
    let id = row::resource_id(row::key_of::<M>(row).into_iter().flatten());
    direct::record(db, NewEvent::new(M::RESOURCE, id, event_type, payload)).await
}

/// Marks what the row must go back to if its event is not recorded; a save that is alone goes back with its transaction.
async fn mark<C: ConnectionTrait>(db: &C) -> Result<(), DbErr> {
    if save::is_alone() {
        return Ok(());
    }
    dialect::mark_save(db).await?;
    save::set_marked(true);
    Ok(())
}

/// The row is written: if its event is not, the row must not stay.
async fn keep_if_recorded<C: ConnectionTrait>(db: &C, recorded: Result<(), DbErr>) -> Result<(), DbErr> {
    save::set_marked(false);
    match recorded {
        recorded if save::is_alone() => recorded,
        Ok(()) => dialect::keep_save(db).await,
        Err(error) => {
            dialect::undo_save(db).await;
            Err(error)
        }
    }
}
