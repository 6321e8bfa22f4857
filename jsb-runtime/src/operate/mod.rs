//! For operators: what a running bridge does not do by itself.

use sea_orm::{DatabaseConnection, DbErr};

use crate::status::Status;

/// How many events stand where, as the tables say.
///
/// # Errors
///
/// When the database fails.
pub async fn tables(db: &DatabaseConnection) -> Result<Status, DbErr> {
    Status::read(db, false).await
}
