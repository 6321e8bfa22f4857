//! The hold on a batch: progress acks, so that the server gives nothing of it to somebody else however long it takes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio_util::task::AbortOnDropHandle;

use crate::jetstream::{Attached, Delivery, Disposition, Reply, Transport};
use crate::locked::locked;

/// However short a foreign consumer's ack wait is.
const FASTEST_TICK: Duration = Duration::from_millis(10);

/// By their sequences in the stream.
type Open = BTreeMap<u64, Reply>;

/// Tells the server again and again that the open deliveries are being worked on, until it is dropped.
pub(crate) struct Hold {
    open: Arc<Mutex<Open>>,
    _ticking: AbortOnDropHandle<()>,
}

impl Hold {
    /// Holds a batch, which the server would repeat after its ack wait. A task of its own ticks, so that a handler that
    /// blocks its thread does not stop it.
    pub(crate) fn start(transport: Transport, attached: Attached, batch: &[Delivery]) -> Self {
        let open: Open = batch.iter().map(|delivery| (delivery.message.stream_seq, delivery.reply.clone())).collect();
        let open = Arc::new(Mutex::new(open));
        let ticking = tokio::spawn(tick(transport, attached, Arc::clone(&open)));
        Self { open, _ticking: AbortOnDropHandle::new(ticking) }
    }

    /// Lets go of deliveries, before the server is told their outcome.
    pub(crate) fn settle(&self, deliveries: &[&Delivery]) {
        let mut open = locked(&self.open);
        for delivery in deliveries {
            open.remove(&delivery.message.stream_seq);
        }
    }
}

async fn tick(transport: Transport, attached: Attached, open: Arc<Mutex<Open>>) {
    let every = (attached.ack_wait / 3).max(FASTEST_TICK);
    loop {
        tokio::time::sleep(every).await;
        let in_hand: Vec<Reply> = locked(&open).values().cloned().collect();
        transport.tell(&attached, &in_hand.iter().collect::<Vec<_>>(), Disposition::Progress).await;
    }
}
