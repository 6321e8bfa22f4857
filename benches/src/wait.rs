//! Waiting for a condition, with a deadline.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// Longer than any stage takes on a slow machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(1800);

/// Looks every `pause` whether the condition has come true.
pub(crate) async fn until(what: &str, pause: Duration, mut condition: impl AsyncFnMut() -> Result<bool>) -> Result<()> {
    let started = Instant::now();
    while !condition().await? {
        if started.elapsed() > DEADLINE {
            bail!("not within {DEADLINE:?}: {what}");
        }
        tokio::time::sleep(pause).await;
    }
    Ok(())
}
