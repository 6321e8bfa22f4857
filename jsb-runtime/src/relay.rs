//! The relay: publishes what the outbox holds, in order within each row, side by side across rows.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use sea_orm::{DatabaseConnection, DbErr};
use serde_json::value::RawValue;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::backoff;
use crate::causes::chain;
use crate::config::Config;
use crate::event::{SCHEMA_VERSION, StoredEnvelope};
use crate::jetstream::{Outgoing, PublishError, Transport};
use crate::lease::Lease;
use crate::outbox::{self, Pending};
use crate::subject;
use crate::trace::{TRACEPARENT, Trace};

/// The lease of the one process that relays.
pub(crate) const LEASE: &str = "relay";

/// How soon the relay looks again after a hint that came before its commit, and how rarely while nothing happens.
const SOONEST_POLL: Duration = Duration::from_millis(10);
const RAREST_POLL: Duration = Duration::from_secs(3);
/// The pauses after a failure; shorter while the database or JetStream is away, since nobody says when it is back.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
const LONGEST_OUTAGE_PAUSE: Duration = Duration::from_secs(2);

#[derive(Clone)]
pub(crate) struct Relay {
    pub(crate) db: DatabaseConnection,
    pub(crate) transport: Transport,
    pub(crate) config: Arc<Config>,
}

/// What one step did.
pub(crate) enum Step {
    /// Some rows were published; there may be more.
    Published,
    /// Nothing is to be done for now.
    Idle,
    /// Another process relays.
    Elsewhere,
    /// JetStream did not take what it was offered.
    Refused(PublishError),
}

/// What the relay waits for before its next step, at the longest.
enum Pause {
    /// A hint, since there is nothing to do.
    Idle(Duration),
    /// NATS, which is away.
    Disconnected,
    /// Time, after a failure, or another connection, on which all may be well.
    Failed(Duration),
}

impl Relay {
    /// Relays until `stop`, then finishes the batch in hand.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut lease = Lease::new(LEASE);
        let mut hints = outbox::hints();
        let (mut polls, mut failures) = (0, 0);
        while !stop.is_cancelled() {
            hints.mark_unchanged();
            let step = match self.transport.is_ready() {
                true => self.step(&mut lease).await,
                false => Ok(Step::Refused(PublishError::NotConnected)),
            };
            failures = if matches!(step, Err(_) | Ok(Step::Refused(_))) { failures + 1 } else { 0 };
            self.report(&step);
            let pause = match step {
                Ok(Step::Published) => {
                    polls = 0;
                    continue;
                }
                Ok(Step::Idle | Step::Elsewhere) => {
                    polls += 1;
                    Pause::Idle(backoff::doubling(SOONEST_POLL, RAREST_POLL, polls))
                }
                Ok(Step::Refused(PublishError::NotConnected)) => Pause::Disconnected,
                Ok(Step::Refused(error @ PublishError::Unacknowledged(_))) => {
                    self.failed(failures, &chain(&error), LONGEST_OUTAGE_PAUSE)
                }
                Ok(Step::Refused(error)) => self.failed(failures, &chain(&error), LONGEST_PAUSE),
                Err(error) => self.failed(failures, &chain(&error), LONGEST_OUTAGE_PAUSE),
            };
            tokio::select! {
                () = stop.cancelled() => {}
                news = self.sit_out(pause, &mut hints) => if news { (polls, failures) = (0, 0) },
            }
        }
        if let Err(error) = lease.release(&self.db).await {
            tracing::debug!(error = chain(&error), "the relay's lease runs out by itself");
        }
    }

    /// Waits; whether news ended the wait: a hint, also one that came before it, or another connection.
    async fn sit_out(&self, pause: Pause, hints: &mut watch::Receiver<()>) -> bool {
        match pause {
            Pause::Idle(pause) => tokio::time::timeout(pause, hints.changed()).await.is_ok(),
            Pause::Failed(pause) => {
                let reconnected = async {
                    self.transport.until_disconnected().await;
                    self.transport.until_ready().await;
                };
                tokio::time::timeout(pause, reconnected).await.is_ok()
            }
            Pause::Disconnected => {
                self.transport.until_ready().await;
                true
            }
        }
    }

    /// Keeps for the status why nothing can be published; outages and denials stand there already.
    fn report(&self, step: &Result<Step, DbErr>) {
        let problem = match step {
            Ok(Step::Refused(PublishError::NotConnected | PublishError::Denied(_))) => None,
            Ok(Step::Refused(error)) => Some(chain(error)),
            Ok(Step::Published | Step::Idle | Step::Elsewhere) | Err(_) => None,
        };
        self.transport.report("relay", problem);
    }

    fn failed(&self, failures: u32, error: &str, longest: Duration) -> Pause {
        let pause = backoff::jittered(backoff::doubling(FIRST_PAUSE, longest, failures));
        tracing::warn!(error, failures, ?pause, "the relay could not publish; events wait in the outbox");
        Pause::Failed(pause)
    }

    /// Publishes a batch, if this process holds the lease or can take it.
    pub(crate) async fn step(&self, lease: &mut Lease) -> Result<Step, DbErr> {
        // While nothing waits, one statement finds that out, and nobody needs the lease.
        if !lease.is_held() && !outbox::any_pending(&self.db).await? {
            return Ok(Step::Idle);
        }
        if !lease.hold(&self.db).await? {
            return Ok(Step::Elsewhere);
        }
        let pending = outbox::pending(&self.db, self.config.batch_size).await?;
        let (mut sent, mut failed, mut refused) = (Vec::new(), false, None);
        for wave in self.allowed(waves(&pending, self.longest_delay())) {
            let answers = join_all(wave.iter().map(|row| self.publish(row))).await;
            for (row, answer) in wave.into_iter().zip(answers) {
                match answer {
                    Ok(()) => sent.push(row.id),
                    Err(error) if error.is_permanent() => {
                        tracing::error!(event_id = row.event_id, error = chain(&error), "an event cannot be published");
                        outbox::mark_failed(&self.db, row.id, &chain(&error)).await?;
                        failed = true;
                    }
                    Err(error) => {
                        if let PublishError::Rejected(_) = error {
                            let failures = row.attempts.unsigned_abs() + 1;
                            let delay = backoff::listed(&self.config.backoff, failures);
                            outbox::delay(&self.db, row.id, delay, &chain(&error)).await?;
                        }
                        refused = Some(error);
                    }
                }
            }
            // The later events of a row that was refused keep their place behind it.
            if refused.is_some() {
                break;
            }
        }
        // One commit for all waves: a row that is saved all the time has a wave for each of its events.
        outbox::mark_sent(&self.db, &sent).await?;
        Ok(match refused {
            Some(error) => Step::Refused(error),
            None if failed || !sent.is_empty() => Step::Published,
            None => Step::Idle,
        })
    }

    /// The longest that an event is delayed which the server refused.
    fn longest_delay(&self) -> Duration {
        self.config.backoff.iter().max().copied().unwrap_or(FIRST_PAUSE)
    }

    /// All waves; where NATS denied the last event, only one, to see whether that is over.
    fn allowed<'a>(&self, mut waves: Vec<Vec<&'a Pending>>) -> Vec<Vec<&'a Pending>> {
        if self.transport.is_denied(&subject::sync(&self.config.app_name, &self.config.destination_app)) {
            waves.truncate(1);
            waves.iter_mut().for_each(|wave| wave.truncate(1));
        }
        waves
    }

    async fn publish(&self, row: &Pending) -> Result<(), PublishError> {
        self.transport.publish(self.outgoing(row)?).await
    }

    fn outgoing(&self, row: &Pending) -> Result<Outgoing, PublishError> {
        let headers = row.headers();
        let envelope = StoredEnvelope {
            event_id: row.event_id.clone(),
            schema_version: SCHEMA_VERSION,
            event_type: row.event_type.clone(),
            producer: self.config.app_name.clone(),
            resource_id: row.resource_id.clone(),
            occurred_at: row.occurred_at,
            trace_id: Trace::id_in(headers.get(TRACEPARENT).map(String::as_str)),
            resource_type: row.resource_type.clone(),
            payload: RawValue::from_string(row.payload.clone()).map_err(PublishError::Unreadable)?,
        };
        Ok(Outgoing::event(&self.config, headers, &envelope)?)
    }
}

/// The rows in waves: each holds at most one event of a row, the oldest first. Events of a row that waits after a
/// failure of its own are left out.
fn waves(pending: &[Pending], longest_delay: Duration) -> Vec<Vec<&Pending>> {
    let now = crate::clock::now();
    let mut waves: Vec<Vec<&Pending>> = Vec::new();
    let mut depth = HashMap::new();
    let mut delayed = HashSet::new();
    for event in pending {
        if delayed.contains(&event.row()) || event.is_delayed(now, longest_delay) {
            delayed.insert(event.row());
            continue;
        }
        let wave = depth.entry(event.row()).or_insert(0_usize);
        if waves.len() == *wave {
            waves.push(Vec::new());
        }
        waves[*wave].push(event);
        *wave += 1;
    }
    waves
}
