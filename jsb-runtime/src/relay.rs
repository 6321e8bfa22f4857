//! The relay: publishes what the outbox holds, in order within each row, side by side across rows.

mod step;
mod waves;

use std::sync::Arc;
use std::time::Duration;

use sea_orm::{DatabaseConnection, DbErr};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::backoff;
use crate::causes::chain;
use crate::config::Config;
use crate::jetstream::{PublishError, Transport};
use crate::outbox;
use crate::problems::Task;
pub(crate) use step::Hand;

/// How soon the relay looks again after a hint that came before its commit, and how rarely while nothing happens.
const SOONEST_POLL: Duration = Duration::from_millis(10);
const RAREST_POLL: Duration = Duration::from_secs(3);
/// How often another process's lease is tried for.
const LEASE_POLL: Duration = Duration::from_secs(1);
/// The pauses after a failure; shorter while the database, JetStream or the stream is away, since nobody says when it is back.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
const LONGEST_OUTAGE_PAUSE: Duration = Duration::from_secs(2);

#[derive(Clone)]
pub(crate) struct Relay {
    pub(crate) db: DatabaseConnection,
    pub(crate) transport: Transport,
    pub(crate) config: Arc<Config>,
    pub(crate) stop: CancellationToken,
}

/// What one step did.
pub(crate) enum Step {
    /// Some rows were published; there may be more.
    Published,
    /// Nothing is there to publish.
    Idle,
    /// What is there waits after a failure of its own.
    Waiting,
    /// Another process relays.
    Elsewhere,
    /// JetStream did not take what it was offered.
    Refused(PublishError),
}

/// What the relay waits for before its next step, at the longest.
enum Pause {
    /// A hint, since there is nothing to do.
    Idle(Duration),
    /// The end of another process's lease: a hint is no news, and each look at the lease is a commit.
    Elsewhere,
    /// NATS, which is away.
    Disconnected,
    /// Time, after a failure, or another connection, on which all may be well.
    Failed(Duration),
}

impl Relay {
    /// Relays until it is to stop, then finishes what is on its way.
    pub(crate) async fn run(self) {
        let mut hand = Hand::empty();
        let mut hints = outbox::hints();
        let (mut polls, mut failures) = (0, 0);
        while !self.stop.is_cancelled() {
            hints.mark_unchanged();
            let step = self.step(&mut hand, self.transport.is_ready()).await;
            failures = match step {
                Err(_) | Ok(Step::Refused(_)) => failures + 1,
                Ok(Step::Waiting) => failures,
                Ok(Step::Published | Step::Idle | Step::Elsewhere) => 0,
            };
            self.report(&step);
            // Once may be a moment's trouble.
            let is_in_doubt = failures > 1 && matches!(&step, Ok(Step::Refused(error)) if error.doubts_stream());
            let pause = match step {
                Ok(Step::Published) => {
                    polls = 0;
                    continue;
                }
                Ok(Step::Idle | Step::Waiting) => {
                    polls += 1;
                    Pause::Idle(backoff::doubling(SOONEST_POLL, RAREST_POLL, polls))
                }
                Ok(Step::Elsewhere) => Pause::Elsewhere,
                Ok(Step::Refused(PublishError::NotConnected)) => Pause::Disconnected,
                Ok(Step::Refused(error @ PublishError::Denied(_))) => {
                    self.failed(failures, &chain(&error), LONGEST_PAUSE)
                }
                Ok(Step::Refused(error)) => self.failed(failures, &chain(&error), LONGEST_OUTAGE_PAUSE),
                Err(error) => self.failed(failures, &chain(&error), LONGEST_OUTAGE_PAUSE),
            };
            if is_in_doubt {
                self.stop.run_until_cancelled(self.transport.doubt_stream()).await;
            }
            tokio::select! {
                () = self.stop.cancelled() => {}
                news = self.sit_out(pause, &mut hints) => if news { (polls, failures) = (0, 0) },
            }
        }
        if let Err(error) = self.leave(hand).await {
            tracing::debug!(error = chain(&error), "the relay's lease runs out by itself");
        }
    }

    /// Waits; whether news ended the wait: a hint, also one that came before it, or another connection.
    async fn sit_out(&self, pause: Pause, hints: &mut watch::Receiver<()>) -> bool {
        match pause {
            Pause::Idle(pause) => tokio::time::timeout(pause, hints.changed()).await.is_ok(),
            Pause::Elsewhere => {
                tokio::time::sleep(LEASE_POLL).await;
                false
            }
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

    /// Keeps for the status why nothing can be published.
    fn report(&self, step: &Result<Step, DbErr>) {
        self.transport.problems.report(Task::Outbox, step.as_ref().err().map(|error| chain(error)));
        let problem = match step {
            Ok(Step::Refused(error)) => (!error.stands_elsewhere()).then(|| chain(error)),
            Ok(Step::Published | Step::Idle | Step::Elsewhere) | Err(_) => None,
            // Why it failed is still what there is to say.
            Ok(Step::Waiting) => return,
        };
        self.transport.problems.report(Task::Relay, problem);
    }

    fn failed(&self, failures: u32, error: &str, longest: Duration) -> Pause {
        let pause = backoff::jittered(backoff::doubling(FIRST_PAUSE, longest, failures));
        tracing::warn!(error, failures, ?pause, "the relay could not publish; events wait in the outbox");
        Pause::Failed(pause)
    }
}

#[cfg(test)]
impl Relay {
    /// A relay whose NATS is away, on a database without tables.
    async fn without_nats() -> Self {
        let (config, transport) = Transport::without_nats().await;
        let db = sea_orm::Database::connect("sqlite::memory:").await.expect("a database");
        Self { db, transport, config, stop: CancellationToken::new() }
    }
}
