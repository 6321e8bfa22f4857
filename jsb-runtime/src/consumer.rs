//! The consumer: pulls, hands each message to the processor, and turns the outcome into an acknowledgement.

mod hold;
mod pace;
mod pulled;

use std::sync::Arc;
use std::time::{Duration, Instant};

use hold::Hold;
use pace::Pace;
use pulled::{Ahead, Pulled, pull};
use sea_orm::DbErr;

use crate::backoff;
use crate::batch;
use crate::causes::chain;
use crate::jetstream::{Attached, Delivery, Disposition};
use crate::message::Message;
use crate::outcome::{Outcome, Settled};
use crate::problems::Task;
use crate::processor::Processor;
use crate::processor::origin::Origin;
use crate::schema::Said;
use crate::upsert::ApplyError;

/// How long a stopping consumer goes on with what is in hand before it gives the rest back.
const DRAIN: Duration = Duration::from_secs(10);

/// Pulls and applies until the bridge stops, then finishes what is in hand: a batch, and the one that was pulled
/// meanwhile, which comes after it in the order of events.
pub(crate) async fn run(processor: Arc<Processor>) {
    let stop = &processor.stop;
    processor.sweep_again();
    let (mut failures, mut idle) = (0, false);
    let (mut ahead, mut stopped) = (None::<Ahead>, None);
    let mut pace = Pace::up_to(processor.config.batch_size);
    loop {
        let pulled = match ahead.take() {
            Some(ahead) => ahead.pulled().await,
            None if stop.is_cancelled() => break,
            // What an idle consumer would find out about the database it can as well find out with the next event.
            None if !idle && !processor.until_database_answers().await => break,
            None => pull(&processor, pace.limit(), failures > 0).await,
        };
        match pulled {
            Ok(Some(batch)) => {
                (failures, idle) = (0, batch.deliveries.is_empty());
                processor.transport.problems.report(Task::Consumer, None);
                pace.adapt_to(&batch);
                ahead = Ahead::behind(&processor, &batch, pace.limit());
                let (attached_since, is_last) = (batch.attached.since, batch.is_last());
                let began = Instant::now();
                process(&processor, batch, &mut stopped).await;
                pace.worked_for(began.elapsed());
                if is_last {
                    // Not before: what heals a parked event may be the last of the batch.
                    processor.catch_up(attached_since);
                }
            }
            Ok(None) => (failures, idle) = (0, false),
            Err(error) => {
                (failures, idle) = (failures + 1, false);
                pace.slow_down();
                let pause = backoff::doubling(Duration::from_millis(100), Duration::from_secs(5), failures);
                tracing::warn!(error = chain(&error), failures, "nothing could be pulled");
                // What is denied stands in the status already.
                let problem = (!error.is_denied()).then(|| chain(&error));
                processor.transport.problems.report(Task::Consumer, problem);
                stop.run_until_cancelled(tokio::time::sleep(pause)).await;
            }
        }
    }
}

/// A pulled batch on its way to its outcomes.
struct InHand<'a> {
    processor: &'a Processor,
    attached: Attached,
    hold: Hold,
    /// Since when the bridge stops.
    stopped: &'a mut Option<Instant>,
}

/// Processes a batch in order; what was delivered before comes last, what began least often first, so that a message
/// that kills its process takes no other with it.
async fn process(processor: &Processor, batch: Pulled, stopped: &mut Option<Instant>) {
    let Pulled { attached, deliveries, said, hold, .. } = batch;
    let mut in_hand = InHand { processor, attached, hold, stopped };
    let (fresh, repeated): (Vec<_>, Vec<_>) =
        deliveries.into_iter().zip(said).partition(|(delivery, _)| delivery.deliveries() == 1);
    for run in runs(&fresh) {
        match run {
            Run::Together(run) => in_hand.process_run(&run).await,
            Run::Alone(delivery) => in_hand.process_alone(delivery).await,
        }
    }
    let repeated = repeated.into_iter().map(|(delivery, _)| delivery).collect();
    for delivery in processor.least_begun_first(repeated, |delivery: &Delivery| &delivery.message).await {
        in_hand.process_alone(&delivery).await;
    }
}

/// What of a batch is tried at a time.
enum Run<'a> {
    Together(Vec<(&'a Delivery, &'a Said)>),
    Alone(&'a Delivery),
}

fn runs(fresh: &[(Delivery, Option<Said>)]) -> Vec<Run<'_>> {
    let mut runs = Vec::new();
    for (delivery, said) in fresh {
        match (said, runs.last_mut()) {
            (Some(said), Some(Run::Together(run))) if run.len() < batch::MOST => run.push((delivery, said)),
            (Some(said), _) => runs.push(Run::Together(vec![(delivery, said)])),
            (None, _) => runs.push(Run::Alone(delivery)),
        }
    }
    runs
}

impl InHand<'_> {
    /// Applies events together, as many at a time as that succeeds for: where it does not, each half is tried by itself.
    async fn process_run(&mut self, run: &[(&Delivery, &Said)]) {
        let mut runs = vec![run];
        while let Some(run) = runs.pop() {
            let error = match run {
                [] => continue,
                [(alone, _)] => {
                    self.process_alone(alone).await;
                    continue;
                }
                _ => match self.apply_together(run).await {
                    Ok(()) => continue,
                    Err(error) => error,
                },
            };
            tracing::debug!(events = run.len(), error = error.described(), "events are applied in halves");
            let rest = if error.is_outage() {
                // It waits for the database. If that was there all the while, so many were too much for it.
                self.process_alone(run[0].0).await;
                &run[1..]
            } else {
                run
            };
            let (one, other) = rest.split_at(rest.len() / 2);
            runs.extend([other, one]);
        }
    }

    async fn apply_together(&mut self, run: &[(&Delivery, &Said)]) -> Result<(), ApplyError> {
        let deliveries: Vec<&Delivery> = run.iter().map(|(delivery, _)| *delivery).collect();
        if self.is_out_of_time() {
            self.give_back(&deliveries).await;
            return Ok(());
        }
        let events: Vec<(&Message, &Said)> = run.iter().map(|(delivery, said)| (&delivery.message, *said)).collect();
        let settled = self.processor.apply_together(&events).await?;
        let (together, alone): (Vec<_>, Vec<_>) =
            deliveries.into_iter().zip(settled).partition(|(_, settled)| settled.is_some());
        let together: Vec<&Delivery> = together.into_iter().map(|(delivery, _)| delivery).collect();
        self.tell(&together, Disposition::Ack).await;
        tracing::debug!(events = together.len(), "events were applied together");
        log_if_failed(self.processor.release(together.iter().map(|delivery| &delivery.message)).await);
        for (delivery, _) in alone {
            self.process_alone(delivery).await;
        }
        Ok(())
    }

    async fn process_alone(&mut self, delivery: &Delivery) {
        if self.is_out_of_time() {
            return self.give_back(&[delivery]).await;
        }
        let origin = Origin::Delivery { number: delivery.deliveries(), of: self.attached.max_deliver };
        let outcome = self.processor.process(&delivery.message, origin).await;
        self.tell(&[delivery], disposition(&outcome)).await;
        tracing::debug!(event_id = delivery.message.event_id, ?outcome, "an event was processed");
        if let Outcome::Settled(Settled::Applied | Settled::Stale) = outcome {
            log_if_failed(self.processor.release([&delivery.message]).await);
        }
    }

    /// Whether the bridge stops and what was in hand has had its time.
    fn is_out_of_time(&mut self) -> bool {
        self.processor.stop.is_cancelled() && self.stopped.get_or_insert_with(Instant::now).elapsed() > DRAIN
    }

    async fn give_back(&self, deliveries: &[&Delivery]) {
        self.tell(deliveries, Disposition::Nak(Duration::from_secs(1))).await;
    }

    async fn tell(&self, deliveries: &[&Delivery], disposition: Disposition) {
        self.hold.settle(deliveries);
        let replies: Vec<_> = deliveries.iter().map(|delivery| &delivery.reply).collect();
        self.processor.transport.tell(&self.attached, &replies, disposition).await;
    }
}

fn disposition(outcome: &Outcome) -> Disposition {
    match outcome {
        Outcome::Settled(_) | Outcome::Parked => Disposition::Ack,
        Outcome::Retry(delay) => Disposition::Nak(*delay),
        Outcome::Dead => Disposition::Term,
        Outcome::Undecided => Disposition::Nak(Duration::from_secs(1)),
    }
}

fn log_if_failed(released: Result<(), DbErr>) {
    if let Err(error) = released {
        tracing::warn!(error = chain(&error), "events that waited for this one are left to the timer");
    }
}
