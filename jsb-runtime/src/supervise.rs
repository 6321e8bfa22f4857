//! A task that lasts: begun again where it panics.

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::time::Duration;

use futures_util::FutureExt;

use crate::problems::{Problems, Task};

/// How soon a task that panicked is begun again.
const RESTART: Duration = Duration::from_secs(1);
/// How long such a task must run before its panic is no problem any more.
const CALM: Duration = Duration::from_secs(60);

/// Runs a task to its end; one that panics is reported and begun again.
pub(crate) async fn run<F: Future<Output = ()>>(name: Task, problems: Problems, task: impl Fn() -> F) {
    while panics(task(), || problems.report_panic(name, false)).await {
        tracing::error!(task = name.as_str(), "a task of the bridge panicked and is begun again");
        problems.report_panic(name, true);
        tokio::time::sleep(RESTART).await;
    }
}

/// Whether a task panics rather than ends; calls `calm` once it has run for a while.
async fn panics(task: impl Future<Output = ()>, calm: impl FnOnce()) -> bool {
    let mut task = pin!(AssertUnwindSafe(task).catch_unwind());
    let ended = match tokio::time::timeout(CALM, task.as_mut()).await {
        Ok(ended) => ended,
        Err(_) => {
            calm();
            task.await
        }
    };
    ended.is_err()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_task_that_panics_is_begun_again() {
        let (problems, begun) = (Problems::default(), AtomicUsize::new(0));
        let task = || async {
            assert!(begun.fetch_add(1, Ordering::SeqCst) > 0, "the first time");
            tokio::time::sleep(CALM * 2).await;
        };
        let look = async {
            tokio::time::sleep(RESTART * 2).await;
            assert_eq!(problems.panics(), ["relay: it panicked and was begun again; see the log"]);
            tokio::time::sleep(CALM).await;
            assert_eq!(problems.panics(), [""; 0]);
        };
        tokio::join!(run(Task::Relay, problems.clone(), task), look);
        assert_eq!(begun.load(Ordering::SeqCst), 2);
    }
}
