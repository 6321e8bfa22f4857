//! What the five routes must know of a resource, and nothing more.

use std::future::Future;

use sea_orm::{DatabaseConnection, DbErr, DeleteResult, EntityTrait, IntoActiveModel, PrimaryKeyTrait, Select};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::body::{Required, Text};

/// An entity with routes of its own.
///
/// Each resource writes `create`, `change` and `remove` itself: the saves that publish are methods of its
/// own active model, which generic code does not see.
pub(crate) trait Resource: EntityTrait<ActiveModel: Send, PrimaryKey: PrimaryKeyTrait<ValueType = i64>> {
    /// One row in messages, and the wrapper of a body.
    const NAME: &'static str;
    /// Where its rows live.
    const PATH: &'static str;
    /// The fields that a row cannot be without.
    const REQUIRED: &'static [Required];
    /// The texts among its fields.
    const TEXTS: &'static [Text];
    /// The field that no two rows share.
    const UNIQUE: &'static str;
    /// What a broken foreign key means: the field, and what is wrong with it.
    const FOREIGN_KEY: (&'static str, &'static str);
    /// The columns that tell which of two rows is newer.
    const AGE: [Self::Column; 2];

    /// The fields that a client may set.
    type Fields: DeserializeOwned + IntoActiveModel<Self::ActiveModel> + Send;
    /// A row as it is answered.
    type View: Serialize + Send;

    /// The rows of a query, with what belongs to them.
    fn load(rows: Select<Self>, db: &DatabaseConnection)
    -> impl Future<Output = Result<Vec<Self::View>, DbErr>> + Send;

    /// Saves a new row, and returns it as it was saved: from then on nothing may fail.
    fn create(
        row: Self::ActiveModel,
        db: &DatabaseConnection,
    ) -> impl Future<Output = Result<Self::View, DbErr>> + Send;

    /// Saves the fields that are set, and returns the row alike.
    fn change(
        id: i64,
        changes: Self::ActiveModel,
        db: &DatabaseConnection,
    ) -> impl Future<Output = Result<Self::View, DbErr>> + Send;

    /// Deletes the row with this key.
    fn remove(id: i64, db: &DatabaseConnection) -> impl Future<Output = Result<DeleteResult, DbErr>> + Send;
}
