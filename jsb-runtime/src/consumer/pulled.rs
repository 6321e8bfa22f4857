//! What the consumer has pulled, and the batch that it pulls while the one before is applied.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::task::AbortOnDropHandle;

use super::hold::Hold;
use crate::clock;
use crate::jetstream::{Attached, Delivery, PullError};
use crate::processor::Processor;
use crate::processor::rescue::ConsumeError;
use crate::schema::Said;

/// A batch, held from the moment when it came.
pub(super) struct Pulled {
    pub(super) attached: Attached,
    /// How many were asked for.
    asked: usize,
    pub(super) deliveries: Vec<Delivery>,
    /// What each says, if it may be applied together with others.
    pub(super) said: Vec<Option<Said>>,
    pub(super) hold: Hold,
}

impl Pulled {
    fn new(processor: &Processor, attached: Attached, asked: usize, deliveries: Vec<Delivery>) -> Self {
        let hold = Hold::start(processor.transport.clone(), attached.clone(), &deliveries);
        let read = |delivery: &Delivery| match delivery.deliveries() {
            1 => processor.read(&delivery.message),
            _ => None,
        };
        let said = deliveries.iter().map(read).collect();
        Self { attached, asked, deliveries, said, hold }
    }

    /// Whether there were as many as were asked for, so that there may be more.
    pub(super) fn is_full(&self) -> bool {
        self.deliveries.len() >= self.asked
    }

    /// Whether nothing waited behind it when it came.
    pub(super) fn is_last(&self) -> bool {
        self.deliveries.last().is_none_or(|last| !last.more_waits)
    }

    /// From the first of them to the last.
    pub(super) fn took(&self) -> Duration {
        let (first, last) = (self.deliveries.first(), self.deliveries.last());
        first.zip(last).map_or(Duration::ZERO, |(first, last)| last.came_at - first.came_at)
    }
}

/// The next batch, of `limit` messages at the most; `None` if the connection ended first, or the bridge stops. What nobody else
/// will bring is looked for first.
pub(super) async fn pull(
    processor: &Processor,
    limit: usize,
    failed_before: bool,
) -> Result<Option<Pulled>, ConsumeError> {
    let doubt = |error: &PullError| {
        // Once may be a moment's trouble; twice, somebody should look whether the consumer is still there.
        if failed_before && !error.is_denied() {
            processor.transport.detach();
        }
    };
    processor.sweep_once().await?;
    let Some(attached) = processor.stop.run_until_cancelled(processor.transport.attached()).await else {
        return Ok(None);
    };
    let limit = limit.min(attached.most.messages);
    let pulled = tokio::select! {
        pulled = processor.transport.pull(&attached, limit) => pulled,
        // The server has forgotten the request.
        () = processor.transport.until_detached_from(&attached) => return Ok(None),
        () = processor.stop.cancelled() => return Ok(None),
    };
    let batch = pulled.inspect_err(doubt)?;
    Ok(Some(Pulled::new(processor, attached, limit, batch)))
}

/// The batch behind the one in hand, pulled and read by a task of its own.
pub(super) struct Ahead(AbortOnDropHandle<Result<Option<Pulled>, PullError>>);

impl Ahead {
    /// Pulls what is there behind `batch`, up to `limit` messages, if that is full and nothing in it calls for care: what
    /// comes again may have killed its process, and a handler takes its time.
    pub(super) fn behind(processor: &Arc<Processor>, batch: &Pulled, limit: usize) -> Option<Self> {
        let is_light = batch.said.iter().all(Option::is_some);
        if !batch.is_full() || !is_light || processor.stop.is_cancelled() || processor.is_sweep_due() {
            return None;
        }
        let (processor, attached) = (Arc::clone(processor), processor.transport.attached_now()?);
        let limit = limit.min(attached.most.messages);
        let pull = async move {
            let there = tokio::select! {
                there = processor.transport.pull_what_is_there(&attached, limit) => there?,
                () = processor.transport.until_detached_from(&attached) => return Ok(None),
            };
            Ok(Some(Pulled::new(&processor, attached, limit, there)))
        };
        Some(Self(AbortOnDropHandle::new(tokio::spawn(clock::skewed(clock::offset(), pull)))))
    }

    /// The batch, `None` if the connection ended first.
    pub(super) async fn pulled(self) -> Result<Option<Pulled>, ConsumeError> {
        match self.0.await {
            Ok(pulled) => Ok(pulled?),
            Err(error) => match error.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                // The runtime ends.
                Err(_) => Ok(None),
            },
        }
    }
}
