//! What the entities' own `insert`, `update`, `save` and `delete` do: the trait's methods, inside a transaction.

mod at_once;
pub(crate) mod forms;
pub(crate) mod mark;
mod progress;
pub(crate) mod skip;

use std::any::type_name;

use futures_util::future::BoxFuture;
use progress::followed;
pub(crate) use progress::{Call, begin, finish, must_have_begun};
use sea_orm::{
    ActiveModelTrait, ActiveValue, ConnectionTrait, DatabaseConnection, DbErr, DeleteResult, EntityTrait,
    PrimaryKeyToColumn, TransactionTrait, UpdateResult,
};

use crate::capture::OwnTransaction;
use crate::syncable::{ActiveModelOf, OnDelete, Syncable};
use crate::{dialect, outbox};

/// What synced rows are saved on: a connection pool, or a transaction of yours.
#[diagnostic::on_unimplemented(
    message = "a synced row cannot be saved on `{Self}`",
    note = "generic code needs the bound `C: ConnectionTrait + TransactionTrait`, so that the row and its event commit together"
)]
pub trait SaveConnection: ConnectionTrait + TransactionTrait {}

impl<C: ConnectionTrait + TransactionTrait> SaveConnection for C {}

/// A save under way, or a hook of one. It is boxed so that the compiler need not look into it for every entity anew.
pub type Saving<'a, T> = BoxFuture<'a, Result<T, DbErr>>;

tokio::task_local! {
    static ALONE: bool;
}

/// Whether the save under way has its transaction for itself: JSB began it to write, nothing of the application's runs in
/// it, and what fails is taken back with it.
pub(crate) fn is_alone() -> bool {
    ALONE.try_with(|alone| *alone).unwrap_or(false)
}

/// One call of a user's, to be made on whatever transaction it ends up in.
trait Save: Send {
    type Output: Send;
    fn call(&self) -> Call;
    /// Whether its caller wants something done that the other side is to know.
    fn needs_event(&self) -> bool;
    fn run<C: ConnectionTrait>(self, db: &C) -> impl Future<Output = Result<Self::Output, DbErr>> + Send;
}

/// Runs a save so that its row and its event commit together: in the user's transaction, or else in one of its own.
async fn atomically<M: Syncable, S: Save, C: SaveConnection>(save: S, db: &C) -> Result<S::Output, DbErr> {
    // A transaction is a connection whose transactions are of its own type.
    if type_name::<C>() == type_name::<C::Transaction>() {
        return in_transaction::<M, _, _>(save, db).await;
    }
    // Anything but a pool may stand for a transaction of the user's, in which this one is a savepoint.
    let on_pool = is_pool::<C>();
    let alone = on_pool && !M::HAS_OWN_HOOKS;
    let _turn = if alone { dialect::queue_to_write(db).await } else { None };
    let own = OwnTransaction::of(db.begin_with_options(dialect::writing()).await?).await?;
    let run = ALONE.scope(alone, by_hooks::<M, _, _>(save, &own.txn));
    let (saved, _) = if on_pool { own.run(run).await } else { run.await };
    let saved = match saved {
        // They may have taken no notice of an error.
        Ok(saved) if M::HAS_OWN_HOOKS => dialect::must_stand(&own.txn).await.map(|()| saved),
        saved => saved,
    };
    own.end(saved).await.map_err(dialect::explained)
}

fn is_pool<C>() -> bool {
    type_name::<C>() == type_name::<DatabaseConnection>()
}

/// Runs a save in the user's transaction.
async fn in_transaction<M: Syncable, S: Save, C: ConnectionTrait>(save: S, db: &C) -> Result<S::Output, DbErr> {
    let (saved, is_marked) = by_hooks::<M, _, _>(save, db).await;
    // Not the whole result: models need not be `Sync`.
    let error = saved.as_ref().err().filter(|_| is_marked);
    if let Some(error) = error {
        mark::settle(db, error).await?;
    }
    saved
}

/// Runs a save, and says whether its mark is still there. It has failed where hooks of the application's left out its event.
async fn by_hooks<M: Syncable, S: Save, C: ConnectionTrait>(save: S, db: &C) -> (Result<S::Output, DbErr>, bool) {
    let call = save.call();
    let needs_event = M::HAS_OWN_HOOKS && !skip::publishing_is_skipped() && save.needs_event();
    let (saved, progress) = followed(call, save.run(db)).await;
    let is_left_out = needs_event && !progress.is_finished();
    let saved = saved.and_then(|saved| if is_left_out { Err(call.without_event()) } else { Ok(saved) });
    (saved, progress.is_marked)
}

struct Insert<M: Syncable>(ActiveModelOf<M>);
struct Update<M: Syncable>(ActiveModelOf<M>);
struct Delete<M: Syncable>(ActiveModelOf<M>);

impl<M: Syncable> Save for Insert<M> {
    type Output = M;

    fn call(&self) -> Call {
        Call::save::<M>()
    }

    fn needs_event(&self) -> bool {
        true
    }

    async fn run<C: ConnectionTrait>(self, db: &C) -> Result<M, DbErr> {
        self.0.insert(db).await
    }
}

impl<M: Syncable> Save for Update<M> {
    type Output = M;

    fn call(&self) -> Call {
        Call::save::<M>()
    }

    fn needs_event(&self) -> bool {
        is_edit::<M>(&self.0)
    }

    async fn run<C: ConnectionTrait>(self, db: &C) -> Result<M, DbErr> {
        self.0.update(db).await
    }
}

impl<M: Syncable> Save for Delete<M> {
    type Output = DeleteResult;

    fn call(&self) -> Call {
        Call::delete::<M>()
    }

    fn needs_event(&self) -> bool {
        M::ON_DELETE == OnDelete::Apply
    }

    async fn run<C: ConnectionTrait>(self, db: &C) -> Result<DeleteResult, DbErr> {
        self.0.delete(db).await
    }
}

/// Inserts the row and records its event, atomically.
pub fn insert<M: Syncable, C: SaveConnection>(row: ActiveModelOf<M>, db: &C) -> Saving<'_, M> {
    Box::pin(async move {
        if let Some(saved) = at_once::insert(&row, db).await? {
            outbox::hint();
            return Ok(saved);
        }
        atomically::<M, _, _>(Insert::<M>(row), db).await
    })
}

/// Updates the row and records its event, atomically. One that changes nothing is only read, and one that changes nothing that
/// travels has no event.
pub fn update<M: Syncable, C: SaveConnection>(row: ActiveModelOf<M>, db: &C) -> Saving<'_, M> {
    Box::pin(async move {
        // The application's hooks may write what the caller did not.
        if !M::HAS_OWN_HOOKS && !is_edit::<M>(&row) {
            return update_here::<M, C>(row, db).await;
        }
        if let Some(saved) = at_once::update(&row, db).await? {
            outbox::hint();
            return Ok(saved);
        }
        atomically::<M, _, _>(Update::<M>(row), db).await
    })
}

/// Whether an update writes anything that travels; the key it never writes.
fn is_edit<M: Syncable>(row: &ActiveModelOf<M>) -> bool {
    let is_key = |column| <M::Entity as EntityTrait>::PrimaryKey::from_column(column).is_some();
    let is_set = |column| matches!(row.get(column), ActiveValue::Set(_));
    M::FIELDS.iter().any(|field| !is_key(field.column) && is_set(field.column))
}

/// Writes what stays at home, by SeaORM's own statement: with a version of its own it would undo what the other side has
/// changed meanwhile in what travels.
async fn update_here<M: Syncable, C: SaveConnection>(mut row: ActiveModelOf<M>, db: &C) -> Result<M, DbErr> {
    forms::use_common_forms::<M>(&mut row, false)?;
    let _turn = if is_pool::<C>() && row.is_changed() { dialect::queue_to_write(db).await } else { None };
    M::Entity::update(row).exec(db).await.map_err(dialect::explained)
}

/// As [`update`], for callers that do not want the row back; the event needs it all the same.
pub fn update_without_returning<M: Syncable, C: SaveConnection>(
    row: ActiveModelOf<M>,
    db: &C,
) -> Saving<'_, UpdateResult> {
    Box::pin(async move {
        update::<M, C>(row, db).await?;
        let mut result = UpdateResult::default();
        result.rows_affected = 1;
        Ok(result)
    })
}

/// Inserts the row if its key is not set, else updates it.
pub fn save<M: Syncable, C: SaveConnection>(row: ActiveModelOf<M>, db: &C) -> Saving<'_, ActiveModelOf<M>> {
    Box::pin(async move {
        let saved = if row.is_update() { update::<M, C>(row, db).await? } else { insert::<M, C>(row, db).await? };
        Ok(saved.into_active_model())
    })
}

/// Deletes the row and records its event, atomically.
pub fn delete<M: Syncable, C: SaveConnection>(row: ActiveModelOf<M>, db: &C) -> Saving<'_, DeleteResult> {
    Box::pin(atomically::<M, _, _>(Delete::<M>(row), db))
}

/// Deletes the row of a model and records its event, atomically.
pub fn delete_model<M: Syncable, C: SaveConnection>(model: M, db: &C) -> Saving<'_, DeleteResult> {
    delete::<M, C>(model.into_active_model(), db)
}
