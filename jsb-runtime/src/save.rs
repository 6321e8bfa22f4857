//! What the entities' own `insert`, `update`, `save` and `delete` do: the trait's methods, inside a transaction.

use std::any::type_name;

use sea_orm::{
    ActiveModelBehavior, ActiveModelTrait, ConnectionTrait, DatabaseConnection, DbErr, DeleteResult, EntityTrait,
    IntoActiveModel, TransactionSession, TransactionTrait, UpdateResult,
};

use crate::direct::{self, OwnTransaction};
use crate::syncable::{ActiveModelOf, Syncable};
use crate::{dialect, skip};

type ModelOf<A> = <<A as ActiveModelTrait>::Entity as EntityTrait>::Model;

/// What synced rows are saved on: a connection pool, or a transaction of yours.
#[diagnostic::on_unimplemented(
    message = "a synced row cannot be saved on `{Self}`",
    note = "generic code needs the bound `C: ConnectionTrait + TransactionTrait`, so that the row and its event commit together"
)]
pub trait SaveConnection: ConnectionTrait + TransactionTrait {}

impl<C: ConnectionTrait + TransactionTrait> SaveConnection for C {}

/// One call of a user's, to be made on whatever transaction it ends up in.
trait Save: Send {
    type Output: Send;
    fn run<C: ConnectionTrait>(self, db: &C) -> impl Future<Output = Result<Self::Output, DbErr>> + Send;
}

/// Runs a save so that its row and its event commit together: in the user's transaction, or else in one of its own.
async fn atomically<S: Save, C: SaveConnection>(save: S, db: &C) -> Result<S::Output, DbErr> {
    // A transaction is a connection whose transactions are of its own type.
    if type_name::<C>() == type_name::<C::Transaction>() {
        return save.run(db).await;
    }
    let own = OwnTransaction::default();
    let txn = db.begin_with_options(dialect::writing()).await?;
    // Anything but a pool may stand for a transaction of the user's, in which this one is a savepoint.
    let saved = match type_name::<C>() == type_name::<DatabaseConnection>() {
        true => direct::own_transaction(own.clone(), save.run(&txn)).await,
        false => save.run(&txn).await,
    };
    match saved {
        Ok(saved) => {
            txn.commit().await.map_err(dialect::explained)?;
            direct::committed(own);
            Ok(saved)
        }
        Err(error) => {
            // The save's own error says more than the rollback's, and the transaction ends in any case.
            let _ = txn.rollback().await;
            Err(dialect::explained(error))
        }
    }
}

struct Insert<A>(A);
struct Update<A>(A);
struct Delete<A>(A);

impl<A> Save for Insert<A>
where
    A: ActiveModelTrait + ActiveModelBehavior + Send,
    ModelOf<A>: IntoActiveModel<A>,
{
    type Output = ModelOf<A>;

    async fn run<C: ConnectionTrait>(self, db: &C) -> Result<Self::Output, DbErr> {
        self.0.insert(db).await
    }
}

impl<A> Save for Update<A>
where
    A: ActiveModelTrait + ActiveModelBehavior + Send,
    ModelOf<A>: IntoActiveModel<A>,
{
    type Output = ModelOf<A>;

    async fn run<C: ConnectionTrait>(self, db: &C) -> Result<Self::Output, DbErr> {
        self.0.update(db).await
    }
}

impl<A: ActiveModelTrait + ActiveModelBehavior + Send> Save for Delete<A> {
    type Output = DeleteResult;

    async fn run<C: ConnectionTrait>(self, db: &C) -> Result<DeleteResult, DbErr> {
        self.0.delete(db).await
    }
}

/// Inserts the row and records its event, atomically.
pub async fn insert<A, C>(row: A, db: &C) -> Result<ModelOf<A>, DbErr>
where
    A: ActiveModelTrait + ActiveModelBehavior + Send,
    ModelOf<A>: IntoActiveModel<A>,
    C: SaveConnection,
{
    atomically(Insert(row), db).await
}

/// Updates the row and records its event, atomically; an active model that changes nothing is only read.
pub async fn update<A, C>(row: A, db: &C) -> Result<ModelOf<A>, DbErr>
where
    A: ActiveModelTrait + ActiveModelBehavior + Send,
    ModelOf<A>: IntoActiveModel<A>,
    C: SaveConnection,
{
    skip::noticing_changes(atomically(Update(row), db)).await
}

/// As [`update`], for callers that do not want the row back; the event needs it all the same.
pub async fn update_without_returning<A, C>(row: A, db: &C) -> Result<UpdateResult, DbErr>
where
    A: ActiveModelTrait + ActiveModelBehavior + Send,
    ModelOf<A>: IntoActiveModel<A>,
    C: SaveConnection,
{
    update(row, db).await?;
    let mut result = UpdateResult::default();
    result.rows_affected = 1;
    Ok(result)
}

/// Inserts the row if its key is not set, else updates it.
pub async fn save<A, C>(row: A, db: &C) -> Result<A, DbErr>
where
    A: ActiveModelTrait + ActiveModelBehavior + Send,
    ModelOf<A>: IntoActiveModel<A>,
    C: SaveConnection,
{
    let saved = if row.is_update() { update(row, db).await? } else { insert(row, db).await? };
    Ok(saved.into_active_model())
}

/// Deletes the row and records its event, atomically.
pub async fn delete<A, C>(row: A, db: &C) -> Result<DeleteResult, DbErr>
where
    A: ActiveModelTrait + ActiveModelBehavior + Send,
    C: SaveConnection,
{
    atomically(Delete(row), db).await
}

/// Deletes the row of a model and records its event, atomically.
pub async fn delete_model<M: Syncable, C: SaveConnection>(model: M, db: &C) -> Result<DeleteResult, DbErr> {
    delete::<ActiveModelOf<M>, C>(model.into_active_model(), db).await
}
