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

mod deleting;
mod saving;
mod versions;

use std::any::type_name;

use deleting::{leave_tombstone, load_doomed, publish_delete, publishes_delete};
use saving::publish_saved;
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr};
use serde_json::Value as Json;
pub(crate) use versions::drawn;
use versions::{keep_version, locked_version, new_version_above};

use crate::event::NewEvent;
use crate::payload::PayloadError;
use crate::save::{self, Call, Saving, forms, mark, skip};
use crate::settings::{self, SaveSettings};
use crate::syncable::{ActiveModelOf, Syncable};
use crate::{capture, dialect, keys, row};

/// Draws the row's version, and its key where this node draws keys itself. The values that are about to be written get the form
/// that they have on the other side too.
///
/// An update also writes the JSON that it does not set, as the row holds it and as far as the column's type knows it: what is sent
/// is made of the model.
///
/// Every save that comes here is an edit, also one that writes nothing but columns that stay at home. Where that must not win over
/// what the other side has changed meanwhile, save within [`skip_publish`](crate::skip_publish).
///
/// In hooks of your own call it last, and give back what it gives: a save by the row's own methods whose hooks leave out this one or
/// [`after_save`] fails, since it would have no event, and a value that is set after it may undo the drawn version,
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
/// stands in no row here. Only of JSON it sends what the row holds, on SQLite after an insert, with the members that the model's
/// type does not know. What it gives back may be changed.
///
/// # Errors
///
/// When the event cannot be recorded; the row is then not saved either, and on PostgreSQL nothing else of the transaction
/// is kept.
pub fn after_save<M: Syncable, C: ConnectionTrait>(model: M, db: &C, insert: bool) -> Saving<'_, M> {
    Box::pin(async move {
        if !skip::publishing_is_skipped() {
            save::must_have_begun(Call::save::<M>())?;
            let row = model.clone().into_active_model();
            mark::keep_if_recorded(db, publish_saved::<M, C>(&row, db, insert).await).await?;
        }
        save::finish(Call::save::<M>());
        Ok(model)
    })
}

/// Reads the row that is about to be deleted, since its last state travels with the event.
///
/// In hooks of your own call it last, and give back what it gives: [`after_delete`] makes the tombstone and the event of it. A
/// delete by the row's own method whose hooks leave out one of the two fails.
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
            save::must_have_begun(Call::delete::<M>())?;
            mark::keep_if_recorded(db, publish_delete::<M, C>(row.clone(), db).await).await?;
        } else {
            // Else an older event could bring the row back, and a new one with this key be older than what the other side
            // has. The other side's next edit, which draws above this version, brings it back.
            leave_tombstone::<M, C>(&row, db).await?;
        }
        save::finish(Call::delete::<M>());
        Ok(row)
    })
}

async fn prepare<M: Syncable, C: ConnectionTrait>(
    mut row: ActiveModelOf<M>,
    db: &C,
    insert: bool,
) -> Result<ActiveModelOf<M>, DbErr> {
    save::begin(Call::save::<M>());
    must_be_in_transaction::<M, C>()?;
    forms::use_common_forms::<M>(&mut row, insert)?;
    if skip::publishing_is_skipped() {
        return keep_version::<M, C>(row, db, insert).await;
    }
    let settings = settings_of::<M, C>(db).await?;
    admit(&settings)?;
    let key = row::key_of::<M>(&row);
    let above = match &key {
        _ if insert => new_version_above::<M, C>(&mut row, db, Some(settings.are_keys_interleaved)).await?,
        Some(key) => locked_version::<M, C>(&mut row, db, key).await?,
        None => None,
    };
    let version = drawn(M::RESOURCE, above)?;
    row::set_version::<M>(&mut row, version);
    // Without a key SeaORM refuses an update before it writes: there is nothing to go back to.
    if insert || key.is_some() {
        mark::set(db).await?;
    }
    Ok(row)
}

/// Refuses a save or delete whose event, or tombstone, would not commit with the row.
fn must_be_in_transaction<M: Syncable, C>() -> Result<(), DbErr> {
    if is_transaction::<C>() {
        return Ok(());
    }
    Err(DbErr::Custom(format!(
        "a `{}` must be saved within a transaction, so that its event or tombstone commits with it: call `insert`, `update`, `save` or \
         `delete` on the entity's own ActiveModel, which begin one, or pass a `DatabaseTransaction`; \
         `{}` is neither (code that is generic over `C: ConnectionTrait` needs `C: ConnectionTrait + TransactionTrait`)",
        M::RESOURCE,
        type_name::<C>()
    )))
}

async fn settings_of<M: Syncable, C: ConnectionTrait>(db: &C) -> Result<SaveSettings, DbErr> {
    settings::for_save(db, save::is_alone(), Some(keys::table::<M>())).await
}

/// A hook sees a connection and cannot ask it whether it is a transaction, but it can see its type.
fn is_transaction<C>() -> bool {
    type_name::<C>() == type_name::<DatabaseTransaction>()
}

/// Refuses what a save in this transaction would be refused for.
pub(crate) async fn may_save(txn: &DatabaseTransaction) -> Result<(), DbErr> {
    admit(&settings::for_save(txn, false, None).await?)
}

fn admit(settings: &SaveSettings) -> Result<(), DbErr> {
    settings.must_see_commits()?;
    capture::choose_way(settings)
}

async fn publish_row<M: Syncable, C: ConnectionTrait>(
    row: &ActiveModelOf<M>,
    db: &C,
    event_type: &str,
    payload: Result<Json, PayloadError>,
) -> Result<(), DbErr> {
    let payload = payload.map_err(|error| DbErr::Custom(error.to_string()))?;
    let id = row::resource_id(row::key_of::<M>(row).into_iter().flatten());
    capture::record(db, NewEvent::new(M::RESOURCE, id, event_type, payload)).await
}
