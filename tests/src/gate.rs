//! Gates: places in a handler where it stands until the test lets it go on.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use tokio::sync::Semaphore;

use crate::until;

static GATES: LazyLock<Mutex<HashMap<String, Arc<Gate>>>> = LazyLock::new(Mutex::default);

/// A closed gate, until it is opened.
pub struct Gate {
    arrivals: AtomicUsize,
    open: Semaphore,
}

/// The gate of this name.
pub fn gate(name: &str) -> Arc<Gate> {
    let mut gates = GATES.lock().unwrap_or_else(PoisonError::into_inner);
    let closed = || Arc::new(Gate { arrivals: AtomicUsize::new(0), open: Semaphore::new(0) });
    Arc::clone(gates.entry(name.to_owned()).or_insert_with(closed))
}

impl Gate {
    /// Waits until the gate is open.
    pub async fn pass(&self) {
        self.arrivals.fetch_add(1, Ordering::SeqCst);
        // Closing the semaphore is what opens the gate.
        let _ = self.open.acquire().await;
    }

    /// Waits until a handler stands here.
    pub async fn until_reached(&self) {
        until("a handler stands at the gate", async || self.arrivals() > 0).await;
    }

    /// How often somebody has arrived.
    pub fn arrivals(&self) -> usize {
        self.arrivals.load(Ordering::SeqCst)
    }

    /// Whether it was opened.
    pub fn is_open(&self) -> bool {
        self.open.is_closed()
    }

    /// Lets everybody through from now on.
    pub fn open(&self) {
        self.open.close();
    }
}
