//! The wall clock, which tests may set wrong for one task.

use chrono::{DateTime, TimeDelta, Utc};

tokio::task_local! {
    static OFFSET: TimeDelta;
}

/// Now, as this task's clock shows it.
pub(crate) fn now() -> DateTime<Utc> {
    Utc::now() + offset()
}

/// How wrong this task's clock is.
pub(crate) fn offset() -> TimeDelta {
    OFFSET.try_with(|offset| *offset).unwrap_or_default()
}

/// Runs `work` with a clock that is wrong by `offset`: for tests of convergence, not for applications.
pub async fn skewed<T>(offset: TimeDelta, work: impl Future<Output = T>) -> T {
    OFFSET.scope(offset, work).await
}
