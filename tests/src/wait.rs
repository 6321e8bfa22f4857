//! Waiting for a condition, with a deadline: tests never sleep and hope.

use std::convert::Infallible;
use std::fmt::Debug;
use std::time::{Duration, Instant};

use futures_util::FutureExt;

/// How long a condition may take to come true on a slow machine.
pub const DEADLINE: Duration = Duration::from_secs(180);

/// Waits until `probe` gives a value, and gives it back.
///
/// # Panics
///
/// When nothing came by the deadline; `what` says what was waited for.
pub async fn eventually<T, E: Debug, F>(what: &str, mut probe: impl FnMut() -> F) -> T
where
    F: Future<Output = Result<Option<T>, E>>,
{
    let started = Instant::now();
    let mut last_error = None;
    while started.elapsed() < DEADLINE {
        match probe().await {
            Ok(Some(value)) => return value,
            Ok(None) => {}
            Err(error) => last_error = Some(error),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("not within {DEADLINE:?}: {what} (last error: {last_error:?})")
}

/// Waits until `condition` is true.
///
/// # Panics
///
/// When it was not by the deadline; `what` says what was waited for.
pub async fn until<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    eventually(what, || condition().map(|is_true| Ok::<_, Infallible>(is_true.then_some(())))).await;
}

/// Lets time pass, as long as an outage lasts.
pub async fn lasts(time: Duration) {
    let began = Instant::now();
    until("so much time has passed", async || began.elapsed() >= time).await;
}
