//! Takes an event to its outcome: tries it, and has done what a failure calls for. Knows nothing of acknowledgements.

use std::ops::ControlFlow::{self, Break, Continue};
use std::time::{Duration, Instant};

use sea_orm::DbErr;

use super::Processor;
use super::origin::Origin;
use crate::apply::Attempt;
use crate::backoff;
use crate::causes::chain;
use crate::dialect::{self, Fault};
use crate::event::Envelope;
use crate::inbox::{self, Counters, MAX_STARTS, Move};
use crate::message::Message;
use crate::outcome::{Death, Outcome, Settled, Tried, Verdict, verdict};
use crate::reason::Reason;
use crate::upsert::ApplyError;

/// How often a transaction that lost a lock conflict is tried again before that counts as a failure.
const MAX_CONFLICTS: u32 = 20;

/// How often the connection may end under one event, while the database answers in between, before that is held against it: it may
/// be what ends it.
pub(super) const MOST_OUTAGES: u32 = 20;

/// How long a handler is tried again at once whose own trouble with a database may be over in a moment.
const PATIENCE: Duration = Duration::from_secs(2);

/// An event that is tried, and what is known of it meanwhile. An outage does not begin it again, nor change why it is dead.
pub(crate) struct Trial<'a> {
    pub(crate) processor: &'a Processor,
    pub(crate) message: &'a Message,
    pub(crate) origin: Origin,
    /// How often it had failed before, once it has begun.
    begun: Option<u32>,
    /// Why it is dead, once that is known.
    death: Option<Death>,
    /// How often the database was away.
    pub(crate) outages: u32,
}

impl<'a> Trial<'a> {
    pub(crate) fn of(processor: &'a Processor, message: &'a Message, origin: Origin) -> Self {
        Self { processor, message, origin, begun: None, death: None, outages: 0 }
    }

    /// Takes the event to its outcome, waiting while the database is away.
    pub(crate) async fn run(mut self) -> Outcome {
        let (processor, mut conflicts) = (self.processor, 0);
        loop {
            let error = match self.once().await {
                Ok(outcome) => return outcome,
                Err(error) => error,
            };
            match dialect::fault(&error) {
                Fault::Outage => {
                    tracing::warn!(error = chain(&error), "the database is away; the event waits");
                    self.outages += 1;
                    // A database that is full or read-only answers, so there is a pause in any case.
                    if !processor.outlast(self.outages).await {
                        return Outcome::Undecided;
                    }
                }
                Fault::Contention if conflicts < MAX_CONFLICTS => {
                    conflicts += 1;
                    tokio::time::sleep(backoff::jittered(Duration::from_millis(20))).await;
                }
                _ => {
                    let event_id = &self.message.event_id;
                    tracing::error!(event_id, error = chain(&error), "an outcome was not recorded");
                    return Outcome::Retry(backoff::listed(&processor.config.backoff, 1));
                }
            }
        }
    }

    async fn once(&mut self) -> Result<Outcome, DbErr> {
        let (db, outages) = (&self.processor.db, self.outages);
        let mut death = match self.death.take() {
            Some(death) => death,
            None => match dialect::unless_lost(db, outages, self.try_once()).await? {
                Tried::Ended(outcome) => return Ok(outcome),
                Tried::Dead(death) => death,
            },
        };
        let buried = self.bury(&mut death).await;
        self.death = Some(death);
        buried
    }

    async fn try_once(&mut self) -> Result<Tried, DbErr> {
        let event = match self.message.admit() {
            Ok(event) => event,
            Err((reason, error)) => return Ok(Tried::Dead(Death::untried(reason, error))),
        };
        let failures = match self.begun {
            Some(failures) => failures,
            None => match self.begin().await? {
                Continue(failures) => *self.begun.insert(failures),
                Break(tried) => return Ok(tried),
            },
        };
        self.attempt(event, failures + 1).await
    }

    /// Commits that the event begins, unless this is the first that is seen of it; how often it had failed before, if it may be
    /// tried.
    async fn begin(&self) -> Result<ControlFlow<Tried, u32>, DbErr> {
        let (origin, max_deliver) = (self.origin, self.processor.config.max_deliver);
        if !self.inbox_keeps() {
            // Deliveries are then all that is counted.
            return Ok(Continue(origin.deliveries(max_deliver) - 1));
        }
        if self.message.is_replay() {
            inbox::reopen_for(&self.processor.db, self.message).await?;
        }
        if origin.is_first() {
            return Ok(Continue(0));
        }
        let counters = match self.count_start().await {
            Ok(Some(counters)) => counters,
            Ok(None) if origin.is_delivery() => return Ok(Break(Outcome::Settled(Settled::Duplicate).into())),
            // It is settled, or another process has it for now.
            Ok(None) => return Ok(Break(Outcome::Parked.into())),
            // Another process works on it at this moment.
            Err(error) if dialect::fault(&error) == Fault::Contention => return Ok(Break(Outcome::Undecided.into())),
            Err(error) => return Err(error),
        };
        let failures = counters.attempts.unsigned_abs();
        // Its dead letter was not taken, perhaps more often than an event may begin.
        let known_death = counters.known_death().or((failures >= max_deliver).then_some(Reason::MaxAttempts));
        Ok(if let Some(reason) = known_death {
            Break(Tried::Dead(Death::untried(reason, counters.last_error.unwrap_or_default())))
        } else if counters.starts.unsigned_abs() > MAX_STARTS {
            Break(Tried::Dead(Death::crash_loop()))
        } else {
            Continue(failures)
        })
    }

    /// Commits the start.
    async fn count_start(&self) -> Result<Option<Counters>, DbErr> {
        let processor = self.processor;
        let start = match self.origin.is_delivery() {
            true => Move::Start,
            false => Move::Take { keep_for: processor.config.ack_wait, longest: processor.longest_wait() },
        };
        inbox::make_giving_way(&processor.db, self.message, start).await
    }

    async fn attempt(&self, event: &Envelope, number: u32) -> Result<Tried, DbErr> {
        let mut attempt = self.attempt_on(event, number);
        let (mut troubled, mut conflicts) = (None, 0);
        let error = loop {
            let error = match attempt.run(&self.processor.db).await {
                Ok(settled) => return Ok(Outcome::Settled(settled).into()),
                Err(error) => error,
            };
            if error.is_timeout() && !attempt.takes_time {
                attempt.takes_time = true;
                continue;
            }
            // The database that a handler waits for may be another one, which must not hold up everybody. However long the
            // handler took until it failed, it is tried once more: if the database is ours, that will tell.
            let patient = !error.is_handlers() || troubled.get_or_insert_with(Instant::now).elapsed() < PATIENCE;
            if verdict(&error, event) != Verdict::AtOnce || conflicts == MAX_CONFLICTS || !patient {
                break error;
            }
            conflicts += 1;
            tokio::time::sleep(backoff::jittered(Duration::from_millis(20))).await;
        };
        match verdict(&error, event) {
            Verdict::AwaitDatabase if self.outages < MOST_OUTAGES || !error.ended_connection() => Err(outage(&error)),
            Verdict::Park(reason) => self.park(event, reason, error).await,
            Verdict::Bury(reason) => Ok(Tried::Dead(Death::of(reason, &error))),
            Verdict::AwaitDatabase | Verdict::Retry | Verdict::AtOnce => self.fail(&error).await,
        }
    }

    /// The event as attempt `number` takes it up.
    pub(crate) fn attempt_on<'b>(&self, event: &'b Envelope, number: u32) -> Attempt<'b>
    where
        'a: 'b,
    {
        let (registry, applier) = (&self.processor.registry, self.processor.applier());
        let in_inbox = self.inbox_keeps();
        Attempt { registry, applier, message: self.message, event, in_inbox, number, takes_time: false }
    }

    /// Whether the inbox keeps the event: all of them, or with USE_INBOX off those that nobody else does any more.
    pub(crate) fn inbox_keeps(&self) -> bool {
        self.processor.config.use_inbox || !self.origin.is_delivery()
    }
}

/// The database's error behind an outage; a handler's own text where it hides it.
fn outage(error: &ApplyError) -> DbErr {
    match error {
        ApplyError::Db(error) => error.clone(),
        other => DbErr::Conn(sea_orm::RuntimeErr::Internal(other.to_string())),
    }
}
