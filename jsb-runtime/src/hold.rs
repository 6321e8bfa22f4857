//! The hold on a batch: progress acks, so that the server gives nothing of it to somebody else however long it takes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio_util::task::AbortOnDropHandle;

use crate::jetstream::{Acker, Delivery, Disposition};

/// However short a foreign consumer's ack wait is.
const FASTEST_TICK: Duration = Duration::from_millis(10);

type Open = BTreeMap<u64, Acker>;

/// Tells the server again and again that the open deliveries are being worked on, until it is dropped.
pub(crate) struct Hold {
    open: Arc<Mutex<Open>>,
    _ticking: AbortOnDropHandle<()>,
}

impl Hold {
    /// Holds a batch whose deliveries the server would repeat after `ack_wait`. A task of its own ticks, so that a
    /// handler that blocks its thread does not stop it.
    pub(crate) fn start(ack_wait: Duration, batch: &[Delivery]) -> Self {
        let open: Open = batch.iter().map(|delivery| (delivery.message.stream_seq, delivery.acker())).collect();
        let open = Arc::new(Mutex::new(open));
        let ticking = tokio::spawn(tick((ack_wait / 3).max(FASTEST_TICK), Arc::clone(&open)));
        Self { open, _ticking: AbortOnDropHandle::new(ticking) }
    }

    /// Lets go of one delivery, before the server is told its outcome.
    pub(crate) fn settle(&self, delivery: &Delivery) {
        locked(&self.open).remove(&delivery.message.stream_seq);
    }
}

async fn tick(every: Duration, open: Arc<Mutex<Open>>) {
    loop {
        tokio::time::sleep(every).await;
        let in_hand: Vec<Acker> = locked(&open).values().cloned().collect();
        for acker in in_hand {
            acker.tell(Disposition::Progress).await;
        }
    }
}

fn locked(open: &Mutex<Open>) -> MutexGuard<'_, Open> {
    open.lock().unwrap_or_else(PoisonError::into_inner)
}
