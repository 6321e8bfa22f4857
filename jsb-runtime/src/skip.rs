//! The saves that do not publish: those in the scope that says so, and updates that change nothing.

use std::sync::atomic::{AtomicBool, Ordering};

tokio::task_local! {
    static SKIP: ();
    static UNCHANGED: AtomicBool;
}

/// Runs `work`; what it saves is not published and keeps the row's version: the other side's next edit wins over it, and
/// brings back what it deletes.
///
/// The scope ends with the future and does not reach into tasks that it spawns.
///
/// # Example
///
/// ```
/// # use sea_orm::{ConnectionTrait, DbErr};
/// # async fn import(db: &impl ConnectionTrait) -> Result<(), DbErr> { Ok(()) }
/// # async fn example(db: &impl ConnectionTrait) -> Result<(), DbErr> {
/// jsb_runtime::skip_publish(import(db)).await
/// # }
/// ```
pub async fn skip_publish<T>(work: impl Future<Output = T>) -> T {
    SKIP.scope((), work).await
}

pub(crate) fn publishing_is_skipped() -> bool {
    SKIP.try_with(|()| ()).is_ok()
}

/// Runs an update whose hooks tell each other whether there was anything to write, which only the first of them sees.
pub(crate) async fn noticing_changes<T>(update: impl Future<Output = T>) -> T {
    UNCHANGED.scope(AtomicBool::new(false), update).await
}

/// Notes whether an update changes anything; whether it is known to change nothing.
pub(crate) fn note_whether_changed(changed: bool) -> bool {
    UNCHANGED.try_with(|unchanged| unchanged.store(!changed, Ordering::Relaxed)).is_ok() && !changed
}

pub(crate) fn nothing_was_changed() -> bool {
    UNCHANGED.try_with(|unchanged| unchanged.load(Ordering::Relaxed)).unwrap_or(false)
}
