//! Takes an event to its outcome: tries it, and records what the failure calls for. Knows nothing of acknowledgements.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chrono::TimeDelta;
use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr, TransactionTrait};
use tokio_util::sync::CancellationToken;

use crate::apply::Attempt;
use crate::config::Config;
use crate::dialect::{self, Fault};
use crate::dlq::DeadLetter;
use crate::event::{Envelope, SCHEMA_VERSION};
use crate::inbox::{self, MAX_STARTS, Parking};
use crate::jetstream::Transport;
use crate::message::Message;
use crate::obstacle::Obstacle;
use crate::outcome::{Outcome, Reason, Settled, Verdict, chain, verdict};
use crate::registry::Registry;
use crate::trace::MAX_HOPS;
use crate::upsert::ApplyError;
use crate::{backoff, clock, outbox, scope};

/// How often a transaction that lost a lock conflict is tried again before that counts as a failure.
const MAX_CONFLICTS: u32 = 20;
/// How soon an event is tried again whose dead letter was not taken.
const DLQ_RETRY: Duration = Duration::from_secs(5);

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
    fn comes_again(self) -> bool {
        matches!(self, Self::Delivery { number, of } if number < of)
    }

    fn deliveries(self) -> u32 {
        match self {
            Self::Delivery { number, .. } => number,
            Self::Stored { .. } => 0,
        }
    }

    fn age(self) -> TimeDelta {
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

/// Why an event could not be taken to its outcome: the database failed while it was recorded.
type Recorded = Result<Outcome, DbErr>;

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
            Verdict::Bury(reason) => self.bury(message, origin, reason, class(&error), &described(&error)).await,
            Verdict::Retry | Verdict::AtOnce => self.fail(message, origin, &error).await,
        }
    }

    pub(crate) fn attempt_on<'a>(&'a self, message: &'a Message, event: &'a Envelope, number: u32) -> Attempt<'a> {
        Attempt { registry: &self.registry, config: &self.config, message, event, number }
    }

    async fn fail(&self, message: &Message, origin: Origin, error: &ApplyError) -> Recorded {
        let text = described(error);
        let attempts = if self.config.use_inbox {
            match inbox::fail(&self.db, message, &text).await? {
                Some(counters) => counters.attempts.unsigned_abs(),
                None => return Ok(Outcome::Settled(Settled::Duplicate)),
            }
        } else {
            origin.deliveries()
        };
        tracing::warn!(event_id = message.event_id, attempts, error = text, "an event failed");
        if attempts >= self.config.max_deliver {
            return self.bury(message, origin, Reason::MaxAttempts, class(error), &text).await;
        }
        let delay = backoff::listed(&self.config.backoff, attempts);
        if origin.comes_again() || !self.config.use_inbox {
            return Ok(Outcome::Retry(delay));
        }
        self.keep_in_inbox(message, Reason::DeliveriesSpent, None, delay, &text).await
    }

    async fn park(
        &self,
        message: &Message,
        event: &Envelope,
        origin: Origin,
        reason: Reason,
        error: ApplyError,
    ) -> Recorded {
        if !self.config.use_inbox {
            return self.fail(message, origin, &error).await;
        }
        let age = origin.age().to_std().unwrap_or_default();
        if reason == Reason::HasChildren && age >= self.config.keep_parent_after {
            return self.keep_parent(message, event, origin).await;
        }
        let text = described(&error);
        if age >= self.config.park_for {
            return self.bury(message, origin, reason, class(&error), &text).await;
        }
        let waits_for = self.blocked_by(event, reason, &error).await?;
        // The longer it has waited, the longer it can: between a second and a minute.
        let delay = (age / 4).clamp(Duration::from_secs(1), Duration::from_secs(60));
        tracing::info!(event_id = message.event_id, %reason, waits_for, error = text, "an event is parked");
        self.keep_in_inbox(message, reason, waits_for, delay, &text).await
    }

    async fn keep_in_inbox(
        &self,
        message: &Message,
        reason: Reason,
        waits_for: Option<String>,
        retry_after: Duration,
        error: &str,
    ) -> Recorded {
        inbox::park(&self.db, message, Parking { reason, waits_for, retry_after, error }).await?;
        self.parked.store(true, Ordering::Relaxed);
        Ok(Outcome::Parked)
    }

    async fn blocked_by(&self, event: &Envelope, reason: Reason, error: &ApplyError) -> Result<Option<String>, DbErr> {
        let Some(entity) = self.registry.entity(&event.resource_type) else { return Ok(None) };
        let obstacle = match (reason, error) {
            (Reason::ParentMissing, _) => Obstacle::Parent,
            (Reason::UniqueConflict, ApplyError::Db(error)) => {
                Obstacle::Unique(dialect::unique_columns(&self.db, error).await?)
            }
            _ => return Ok(None),
        };
        let txn = self.db.begin().await?;
        let found = (entity.blocked_by)(&txn, event, &obstacle).await;
        txn.commit().await?;
        match found {
            Ok(found) => Ok(found),
            Err(ApplyError::Db(error)) => Err(error),
            // It could be read when it was tried a moment ago.
            Err(_) => Ok(None),
        }
    }

    /// The children have had their time to go: this side keeps the parent, and says so to the other.
    async fn keep_parent(&self, message: &Message, event: &Envelope, origin: Origin) -> Recorded {
        match self.keep_in_transaction(message, event).await {
            Ok(true) => {
                outbox::hint();
                let (resource, id) = (&event.resource_type, &event.resource_id);
                tracing::warn!(
                    resource,
                    id,
                    "a row that the other side deleted has children here: it is kept and published"
                );
                Ok(Outcome::Settled(Settled::Stale))
            }
            // The row has changed since the delete failed a moment ago, so the delete may succeed now.
            Ok(false) => {
                self.keep_in_inbox(message, Reason::HasChildren, None, Duration::ZERO, "the row has changed").await
            }
            Err(ApplyError::Db(error)) => Err(error),
            Err(error) => self.fail(message, origin, &error).await,
        }
    }

    async fn keep_in_transaction(&self, message: &Message, event: &Envelope) -> Result<bool, ApplyError> {
        let Some(entity) = self.registry.entity(&event.resource_type) else { return Ok(false) };
        let txn = self.db.begin_with_options(dialect::writing()).await?;
        inbox::claim(&txn, message).await?;
        // An error drops the transaction, which rolls it back.
        let kept = scope::caused_by(message.trace(), (entity.keep)(&txn, event)).await?;
        if kept {
            inbox::processed(&txn, message).await?;
        }
        txn.commit().await?;
        Ok(kept)
    }

    async fn bury(&self, message: &Message, origin: Origin, reason: Reason, class: &str, error: &str) -> Recorded {
        if self.config.use_dlq {
            let stream = self.transport.stream_name();
            let deliveries = origin.deliveries();
            let letter = DeadLetter { message, reason, class, error, deliveries, stream: &stream };
            if let Err(refused) = letter.publish(&self.transport, &self.config).await {
                tracing::error!(event_id = message.event_id, error = chain(&refused), "a dead letter was not taken");
                if origin.comes_again() || !self.config.use_inbox {
                    return Ok(Outcome::Retry(DLQ_RETRY));
                }
                return self.keep_in_inbox(message, reason, None, DLQ_RETRY, error).await;
            }
        }
        if self.config.use_inbox {
            inbox::bury(&self.db, message, reason, error).await?;
        }
        tracing::error!(event_id = message.event_id, subject = message.subject, %reason, error, "an event is dead");
        Ok(Outcome::Dead)
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

fn described(error: &ApplyError) -> String {
    match error {
        ApplyError::Handler { name, error } => format!("handler {name} failed: {}", chain(error.source())),
        other => chain(other),
    }
}

/// What the DLQ calls the error.
fn class(error: &ApplyError) -> &'static str {
    match error {
        ApplyError::Payload(_) => "PayloadError",
        ApplyError::Unknown { .. } => "UnknownEvent",
        ApplyError::VersionInFuture(_) => "VersionInFuture",
        ApplyError::OlderThanTombstones(_) => "OlderThanTombstones",
        ApplyError::Db(_) => "DatabaseError",
        ApplyError::Handler { .. } => "HandlerError",
    }
}
