//! Slow handlers: a handler that waits for [`slowness`] takes as long as the harness says.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

static MILLISECONDS: AtomicU64 = AtomicU64::new(0);

/// Lasts as long as this process was told that its handlers take; nothing, outside of the harness.
pub async fn slowness() {
    let milliseconds = MILLISECONDS.load(Ordering::Relaxed);
    if milliseconds > 0 {
        tokio::time::sleep(Duration::from_millis(milliseconds)).await;
    }
}

/// Says how long this process's handlers take from now on.
pub fn set_slowness(milliseconds: u64) {
    MILLISECONDS.store(milliseconds, Ordering::Relaxed);
}
