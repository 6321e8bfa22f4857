//! The mark of a save under way: what its row goes back to if its event is not recorded.

use sea_orm::{ConnectionTrait, DbErr};

use super::is_alone;
use super::progress::set_marked;
use crate::dialect;

/// Marks what the row must go back to if its event is not recorded; a save that is alone goes back with its transaction.
pub(crate) async fn set<C: ConnectionTrait>(db: &C) -> Result<(), DbErr> {
    if is_alone() {
        return Ok(());
    }
    dialect::mark_save(db).await?;
    set_marked(true);
    Ok(())
}

/// The row is written: if its event is not, the row must not stay.
pub(crate) async fn keep_if_recorded<C: ConnectionTrait>(db: &C, recorded: Result<(), DbErr>) -> Result<(), DbErr> {
    set_marked(false);
    match recorded {
        recorded if is_alone() => recorded,
        Ok(()) => dialect::keep_save(db).await,
        Err(error) => {
            dialect::undo_save(db).await;
            Err(error)
        }
    }
}

/// Ends the mark of a save that failed between the row and the event, as when the row cannot be read back: the user may commit
/// all the same.
pub(super) async fn settle<C: ConnectionTrait>(db: &C, error: &DbErr) -> Result<(), DbErr> {
    if wrote_nothing(error) {
        return dialect::keep_save(db).await;
    }
    dialect::undo_save(db).await;
    Ok(())
}

/// Whether an error says that the row's own statement wrote nothing, as where a trigger skips the row.
fn wrote_nothing(error: &DbErr) -> bool {
    match error {
        DbErr::RecordNotInserted | DbErr::RecordNotUpdated => true,
        // Said of an insert with RETURNING. Any other text may be the application's own, once the row was written.
        DbErr::RecordNotFound(text) => text == "Failed to find inserted item",
        _ => false,
    }
}
