//! Takes an event to its outcome: tries it, and records what the failure calls for. Knows nothing of acknowledgements.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use chrono::TimeDelta;
use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr};
use tokio_util::sync::CancellationToken;

use crate::apply::Attempt;
use crate::causes::chain;
use crate::config::Config;
use crate::dialect::{self, Fault};
use crate::event::{Envelope, SCHEMA_VERSION};
use crate::inbox::{self, MAX_STARTS};
use crate::jetstream::Transport;
use crate::message::Message;
use crate::outcome::{Outcome, Reason, Settled, Verdict, verdict};
use crate::registry::Registry;
use crate::trace::MAX_HOPS;
use crate::upsert::ApplyError;
use crate::{backoff, clock};

/// How often a transaction that lost a lock conflict is tried again before that counts as a failure.
const MAX_CONFLICTS: u32 = 20;

/// How an event came.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Origin {
    /// The server delivered it; this was delivery `number` of at most `of`.
    Delivery { number: u32, of: u32 },
    /// It was kept in the inbox, or the server no longer delivers it. It is this old.
    Stored { age: TimeDelta },
}

impl Origin {
    /// Whether the event may have begun before.
    fn is_repeated(self) -> bool {
        !matches!(self, Self::Delivery { number: 1, .. })
    }

    /// Whether the server delivers it again if it is not acknowledged.
    pub(crate) fn comes_again(self) -> bool {
        matches!(self, Self::Delivery { number, of } if number < of)
    }

    pub(crate) fn deliveries(self) -> u32 {
        match self {
            Self::Delivery { number, .. } => number,
            Self::Stored { .. } => 0,
        }
    }

    pub(crate) fn age(self) -> TimeDelta {
        match self {
            Self::Delivery { .. } => TimeDelta::zero(),
            Self::Stored { age } => age,
        }
    }
}

pub(crate) struct Processor {
    pub(crate) db: DatabaseConnection,
    pub(crate) transport: Transport,
    pub(crate) config: Arc<Config>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) stop: CancellationToken,
    /// Whether anything may be parked, so that an applied event need not ask the inbox for who waits for it.
    pub(crate) parked: AtomicBool,
    /// Whether messages may have been given up by the server while nobody listened.
    pub(crate) must_sweep: AtomicBool,
}

/// An outcome, unless the database failed before it was recorded.
pub(crate) type Recorded = Result<Outcome, DbErr>;

impl Processor {
    /// Takes an event to its outcome, waiting while the database is away.
    pub(crate) async fn process(&self, message: &Message, origin: Origin) -> Outcome {
        let mut begun = false;
        let (mut conflicts, mut outages) = (0, 0);
        loop {
            let error = match self.once(message, origin, &mut begun).await {
                Ok(outcome) => return outcome,
                Err(error) => error,
            };
            match dialect::fault(&error) {
                Fault::Outage => {
                    tracing::warn!(error = chain(&error), "the database is away; the event waits");
                    outages += 1;
                    // A database that is full or read-only answers, so there is a pause in any case.
                    if !(self.pause(outages).await && self.until_database_answers().await) {
                        return Outcome::Held;
                    }
                }
                Fault::Contention if conflicts < MAX_CONFLICTS => {
                    conflicts += 1;
                    tokio::time::sleep(backoff::jittered(Duration::from_millis(20))).await;
                }
                _ => {
                    tracing::error!(event_id = message.event_id, error = chain(&error), "an outcome was not recorded");
                    return Outcome::Retry(backoff::listed(&self.config.backoff, 1));
                }
            }
        }
    }

    /// Waits for the database; `false` if the bridge stops first.
    pub(crate) async fn until_database_answers(&self) -> bool {
        let mut failures = 0;
        while self.db.execute_unprepared("SELECT 1").await.is_err() {
            failures += 1;
            if !self.pause(failures).await {
                return false;
            }
        }
        true
    }

    /// Waits a little, longer with every failure; `false` if the bridge stops first.
    async fn pause(&self, failures: u32) -> bool {
        let pause = backoff::doubling(Duration::from_millis(50), Duration::from_secs(2), failures);
        tokio::select! {
            () = self.stop.cancelled() => false,
            () = tokio::time::sleep(pause) => true,
        }
    }

    async fn once(&self, message: &Message, origin: Origin, begun: &mut bool) -> Recorded {
        let event = match self.admit(message) {
            Ok(event) => event,
            Err((reason, error)) => return self.bury(message, origin, reason, reason.as_str(), &error).await,
        };
        let mut failures = origin.deliveries().saturating_sub(1);
        if self.config.use_inbox && origin.is_repeated() && !*begun {
            let Some(counters) = inbox::start(&self.db, message).await? else {
                return Ok(Outcome::Settled(Settled::Duplicate));
            };
            *begun = true;
            failures = counters.attempts.unsigned_abs();
            if counters.starts.unsigned_abs() > MAX_STARTS {
                let error = "it began five times and its process ended before there was an outcome";
                return self.bury(message, origin, Reason::CrashLoop, "CrashLoop", error).await;
            }
            if failures >= self.config.max_deliver {
                let error = "it had failed as often as it may, and its dead letter was not taken";
                return self.bury(message, origin, Reason::MaxAttempts, "MaxAttempts", error).await;
            }
        }
        self.attempt(message, event, origin, failures + 1).await
    }

    /// What can be said of an event before it is tried.
    fn admit<'a>(&self, message: &'a Message) -> Result<&'a Envelope, (Reason, String)> {
        let event = message.envelope.as_ref().map_err(|error| (Reason::Malformed, error.to_string()))?;
        if event.schema_version > SCHEMA_VERSION {
            let error = format!("schema_version {} is newer than {SCHEMA_VERSION}", event.schema_version);
            return Err((Reason::UnsupportedVersion, error));
        }
        if event.producer != message.source_app {
            let error = format!("it names `{}` as its producer but came from `{}`", event.producer, message.source_app);
            return Err((Reason::ForgedProducer, error));
        }
        if message.trace().hops > MAX_HOPS {
            let error =
                format!("it came through more than {MAX_HOPS} handlers, which seem to call one another in a circle");
            return Err((Reason::HopLimit, error));
        }
        Ok(event)
    }

    async fn attempt(&self, message: &Message, event: &Envelope, origin: Origin, number: u32) -> Recorded {
        let attempt = self.attempt_on(message, event, number);
        let mut conflicts = 0;
        let error = loop {
            match attempt.run(&self.db).await {
                Ok(settled) => return Ok(Outcome::Settled(settled)),
                Err(error) if conflicts < MAX_CONFLICTS && verdict(&error, event) == Verdict::AtOnce => {
                    conflicts += 1;
                    tokio::time::sleep(backoff::jittered(Duration::from_millis(20))).await;
                }
                Err(error) => break error,
            }
        };
        match verdict(&error, event) {
            Verdict::Hold => Err(outage(&error)),
            Verdict::Park(reason) => self.park(message, event, origin, reason, error).await,
            Verdict::Bury(reason) => self.bury(message, origin, reason, error.class(), &error.described()).await,
            Verdict::Retry | Verdict::AtOnce => self.fail(message, origin, &error).await,
        }
    }

    pub(crate) fn attempt_on<'a>(&'a self, message: &'a Message, event: &'a Envelope, number: u32) -> Attempt<'a> {
        Attempt { registry: &self.registry, config: &self.config, message, event, number }
    }

    /// How long ago an event was received.
    pub(crate) fn age(received_at: chrono::DateTime<chrono::Utc>) -> TimeDelta {
        clock::now() - received_at
    }
}

/// The database's error behind an outage; a handler's own text where it hides it.
fn outage(error: &ApplyError) -> DbErr {
    match error {
        ApplyError::Db(error) => error.clone(),
        other => DbErr::Conn(sea_orm::RuntimeErr::Internal(other.to_string())),
    }
}
