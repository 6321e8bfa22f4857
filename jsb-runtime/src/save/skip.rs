//! The scope in which saves do not publish.

tokio::task_local! {
    static SKIP: ();
}

/// Runs `work`; what it saves is not published and keeps the row's version: the other side's next edit wins over it, and
/// brings back what it deletes.
///
/// The scope ends with the future and does not reach into tasks that it spawns. Code that is generic over its connection needs a
/// transaction here too: a delete's tombstone commits with the row.
///
/// # Example
///
/// ```
/// # use sea_orm::{ConnectionTrait, DbErr, TransactionTrait};
/// # async fn import(db: &(impl ConnectionTrait + TransactionTrait)) -> Result<(), DbErr> { Ok(()) }
/// # async fn example(db: &(impl ConnectionTrait + TransactionTrait)) -> Result<(), DbErr> {
/// jsb_runtime::skip_publish(import(db)).await
/// # }
/// ```
pub async fn skip_publish<T>(work: impl Future<Output = T>) -> T {
    SKIP.scope((), work).await
}

pub(crate) fn publishing_is_skipped() -> bool {
    SKIP.try_with(|()| ()).is_ok()
}
