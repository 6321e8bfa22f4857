//! The consumer: pulls, hands each message to the processor, and turns the outcome into an acknowledgement.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sea_orm::DbErr;
use tokio_util::sync::CancellationToken;

use crate::backoff;
use crate::causes::chain;
use crate::hold::Hold;
use crate::jetstream::{Attached, Delivery, Disposition};
use crate::origin::Origin;
use crate::outcome::{Outcome, Settled};
use crate::processor::Processor;
use crate::rescue::SweepError;

/// This task, to the status.
const CONSUMER: &str = "consumer";
/// How long a stopping consumer goes on with the batch in hand before it gives the rest back.
const DRAIN: Duration = Duration::from_secs(10);

/// Pulls and applies until the bridge stops, then finishes the batch in hand.
pub(crate) async fn run(processor: Arc<Processor>) {
    let stop = &processor.stop;
    let mut failures = 0;
    while !stop.is_cancelled() {
        let pulled = tokio::select! {
            () = stop.cancelled() => break,
            pulled = pull(&processor, failures > 0) => pulled,
        };
        match pulled {
            Ok(Some((attached, batch))) => {
                failures = 0;
                processor.transport.report(CONSUMER, None);
                process(&processor, &attached, batch, stop).await;
            }
            Ok(None) => failures = 0,
            Err(error) => {
                failures += 1;
                let pause = backoff::doubling(Duration::from_millis(100), Duration::from_secs(5), failures);
                tracing::warn!(error = chain(&error), failures, "nothing could be pulled");
                // What is denied stands in the status already.
                let problem = (!error.is_denied()).then(|| chain(&error));
                processor.transport.report(CONSUMER, problem);
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = tokio::time::sleep(pause) => {}
                }
            }
        }
    }
}

/// The next batch, `None` if the connection or the bridge ended first. While the database is away nothing is pulled; what nobody else will bring is looked for first.
async fn pull(processor: &Processor, failed_before: bool) -> Result<Option<(Attached, Vec<Delivery>)>, SweepError> {
    let attached = processor.transport.attached().await;
    processor.sweep_once().await?;
    if !processor.until_database_answers().await {
        return Ok(None);
    }
    let pulled = tokio::select! {
        pulled = processor.transport.pull(&attached, processor.config.batch_size) => pulled,
        // The server has forgotten the request.
        () = processor.transport.until_detached() => return Ok(None),
    };
    pulled.map(|batch| Some((attached, batch))).map_err(|error| {
        // Once may be a moment's trouble; twice, somebody should look whether the consumer is still there.
        if failed_before && !error.is_denied() {
            processor.transport.detach();
        }
        error.into()
    })
}

/// Processes a batch in order; what was delivered before comes last, what began least often first, so that a message
/// that kills its process takes no other with it.
async fn process(processor: &Processor, attached: &Attached, batch: Vec<Delivery>, stop: &CancellationToken) {
    let hold = Hold::start(attached.ack_wait, &batch);
    let (fresh, repeated): (Vec<_>, Vec<_>) = batch.into_iter().partition(|delivery| delivery.deliveries == 1);
    let mut stopped = None;
    let repeated = processor.least_begun_first(repeated, |delivery: &Delivery| &delivery.message).await;
    for delivery in fresh.into_iter().chain(repeated) {
        if stop.is_cancelled() && stopped.get_or_insert_with(Instant::now).elapsed() > DRAIN {
            delivery.tell(Disposition::Nak(Duration::from_secs(1))).await;
            continue;
        }
        let origin = Origin::Delivery { number: delivery.deliveries, of: attached.max_deliver };
        let outcome = processor.process(&delivery.message, origin).await;
        hold.settle(&delivery);
        delivery.tell(disposition(&outcome)).await;
        tracing::debug!(event_id = delivery.message.event_id, ?outcome, "an event was processed");
        if let Outcome::Settled(Settled::Applied | Settled::Stale) = outcome {
            log_if_failed(processor.release(&delivery.message).await);
        }
    }
}

fn disposition(outcome: &Outcome) -> Disposition {
    match outcome {
        Outcome::Settled(_) | Outcome::Parked => Disposition::Ack,
        Outcome::Retry(delay) => Disposition::Nak(*delay),
        Outcome::Dead => Disposition::Term,
        Outcome::Held => Disposition::Nak(Duration::from_secs(1)),
    }
}

fn log_if_failed(released: Result<(), DbErr>) {
    if let Err(error) = released {
        tracing::warn!(error = chain(&error), "events that waited for this one are left to the timer");
    }
}
