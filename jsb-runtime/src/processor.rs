//! Takes an event to its outcome: tries it, and records what the failure calls for. Knows nothing of acknowledgements.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::apply::Attempt;
use crate::backoff;
use crate::batch::{self, Batch};
use crate::causes::chain;
use crate::config::Config;
use crate::dialect::{self, Fault};
use crate::event::Envelope;
use crate::inbox::{self, Counters, MAX_STARTS};
use crate::jetstream::Transport;
use crate::message::Message;
use crate::origin::Origin;
use crate::outcome::{Death, Outcome, Reason, Settled, Tried, Verdict, verdict};
use crate::registry::Registry;
use crate::rescue::Sweep;
use crate::schema::Said;
use crate::upsert::ApplyError;

/// How often a transaction that lost a lock conflict is tried again before that counts as a failure.
const MAX_CONFLICTS: u32 = 20;

/// How often the connection may end under one event, while the database answers in between, before that is held against it: it may
/// be what ends it.
const MOST_OUTAGES: u32 = 20;

/// How long a handler is tried again at once whose own trouble with a database may be over in a moment.
const PATIENCE: Duration = Duration::from_secs(2);

/// What the consuming tasks of a bridge share.
pub(crate) struct Processor {
    pub(crate) db: DatabaseConnection,
    pub(crate) transport: Transport,
    pub(crate) config: Arc<Config>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) stop: CancellationToken,
    /// Whether anything may be parked, so that an applied event need not ask the inbox for who waits for it.
    pub(crate) parked: watch::Sender<bool>,
    pub(crate) sweep: Mutex<Sweep>,
}

/// What is known of an event while it is processed. An outage does not begin it again, nor change why it is dead.
#[derive(Default)]
struct Trial {
    /// How often it had failed before, once it has begun.
    begun: Option<u32>,
    /// Why it is dead, once that is known.
    death: Option<Death>,
    /// How often the database was away.
    outages: u32,
}

/// Whether an event may be tried.
enum Begun {
    /// It may, and had failed this often before.
    Anew(u32),
    /// It is settled, or another process has it for now; nothing is to be done here.
    Elsewhere,
    /// Another process works on it at this moment.
    Locked,
    /// It is settled.
    Settled,
    /// It may not be tried any more.
    TooOften(Death),
}

impl Processor {
    /// A processor that has looked at nothing yet.
    pub(crate) fn new(
        db: DatabaseConnection,
        transport: Transport,
        config: Arc<Config>,
        registry: Arc<Registry>,
        stop: CancellationToken,
    ) -> Self {
        let (parked, sweep) = (watch::Sender::new(true), Mutex::new(Sweep::due_in(Duration::ZERO)));
        Self { db, transport, config, registry, stop, parked, sweep }
    }

    /// Takes an event to its outcome, waiting while the database is away.
    pub(crate) async fn process(&self, message: &Message, origin: Origin) -> Outcome {
        let (mut trial, mut conflicts) = (Trial::default(), 0);
        loop {
            let error = match self.once(message, origin, &mut trial).await {
                Ok(outcome) => return outcome,
                Err(error) => error,
            };
            match dialect::fault(&error) {
                Fault::Outage => {
                    tracing::warn!(error = chain(&error), "the database is away; the event waits");
                    trial.outages += 1;
                    // A database that is full or read-only answers, so there is a pause in any case.
                    if !(self.pause(trial.outages).await && self.until_database_answers().await) {
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

    /// What an event says that may be applied together with others.
    pub(crate) fn read(&self, message: &Message) -> Option<Said> {
        batch::read(&self.registry, message).filter(|_| self.config.use_inbox)
    }

    /// Applies events together, or none of them. `None` for those that are to be processed alone.
    pub(crate) async fn apply_together(
        &self,
        events: &[(&Message, &Said)],
    ) -> Result<Vec<Option<Settled>>, ApplyError> {
        let batch = Batch { registry: &self.registry, own_app: &self.config.app_name, events };
        dialect::answer(batch.run(&self.db)).await
    }

    /// Waits for the database; `false` if the bridge stops first.
    pub(crate) async fn until_database_answers(&self) -> bool {
        let mut failures = 0;
        while dialect::answer(self.db.execute_unprepared("SELECT 1")).await.is_err() {
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

    async fn once(&self, message: &Message, origin: Origin, trial: &mut Trial) -> Result<Outcome, DbErr> {
        let Trial { begun, death, outages } = trial;
        let death = match death {
            Some(death) => death,
            None => {
                match dialect::unless_lost(&self.db, *outages, self.try_once(message, origin, begun, *outages)).await? {
                    Tried::Ended(outcome) => return Ok(outcome),
                    Tried::Dead(known) => death.insert(known),
                }
            }
        };
        self.bury(message, origin, death, *outages).await
    }

    async fn try_once(
        &self,
        message: &Message,
        origin: Origin,
        begun: &mut Option<u32>,
        outages: u32,
    ) -> Result<Tried, DbErr> {
        let event = match message.admit() {
            Ok(event) => event,
            Err((reason, error)) => return Ok(Tried::Dead(Death::untried(reason, error))),
        };
        let failures = match *begun {
            Some(failures) => failures,
            None => match self.begin(message, origin).await? {
                Begun::Anew(failures) => *begun.insert(failures),
                Begun::Elsewhere => return Ok(Outcome::Parked.into()),
                Begun::Locked => return Ok(Outcome::Held.into()),
                Begun::Settled => return Ok(Outcome::Settled(Settled::Duplicate).into()),
                Begun::TooOften(death) => return Ok(Tried::Dead(death)),
            },
        };
        let attempt = self.attempt_on(message, event, origin, failures + 1);
        self.attempt(attempt, origin, outages).await
    }

    /// The longest that an event waits by the configuration.
    pub(crate) fn longest_wait(&self) -> Duration {
        self.config.backoff.iter().copied().fold(self.config.ack_wait, Duration::max)
    }

    /// Whether the inbox keeps an event: all of them, or with USE_INBOX off those that nobody else does any more.
    pub(crate) fn inbox_keeps(&self, origin: Origin) -> bool {
        self.config.use_inbox || !origin.is_delivery()
    }

    /// Commits that an event begins, unless this is the first that is seen of it.
    async fn begin(&self, message: &Message, origin: Origin) -> Result<Begun, DbErr> {
        let max_deliver = self.config.max_deliver;
        if !self.inbox_keeps(origin) {
            // Deliveries are then all that is counted.
            return Ok(Begun::Anew(origin.deliveries(max_deliver) - 1));
        }
        if message.is_replay() {
            inbox::replay::reopen_for(&self.db, message).await?;
        }
        if origin.is_first() {
            return Ok(Begun::Anew(0));
        }
        let counters = match self.count_start(message, origin).await {
            Ok(Some(counters)) => counters,
            Ok(None) if origin.is_delivery() => return Ok(Begun::Settled),
            Ok(None) => return Ok(Begun::Elsewhere),
            Err(error) if dialect::fault(&error) == Fault::Contention => return Ok(Begun::Locked),
            Err(error) => return Err(error),
        };
        let failures = counters.attempts.unsigned_abs();
        Ok(if failures >= max_deliver {
            // Its dead letter was not taken, perhaps more often than an event may begin.
            Begun::TooOften(Death::untried(Reason::MaxAttempts, counters.last_error.unwrap_or_default()))
        } else if counters.starts.unsigned_abs() > MAX_STARTS {
            let error = "it began five times and its process ended before there was an outcome";
            Begun::TooOften(Death::untried(Reason::CrashLoop, error.to_owned()))
        } else {
            Begun::Anew(failures)
        })
    }

    /// Commits the start. It waits for no other process that is in the middle of this very event, for as long as that takes.
    async fn count_start(&self, message: &Message, origin: Origin) -> Result<Option<Counters>, DbErr> {
        let txn = dialect::begin(&self.db).await?;
        let start = async {
            dialect::give_way(&txn).await?;
            match origin.is_delivery() {
                true => inbox::start(&txn, message).await,
                false => inbox::take(&txn, message, self.config.ack_wait, self.longest_wait()).await,
            }
        };
        let started = start.await;
        dialect::end(txn, started).await
    }

    async fn attempt(&self, mut attempt: Attempt<'_>, origin: Origin, outages: u32) -> Result<Tried, DbErr> {
        let (message, event) = (attempt.message, attempt.event);
        let (mut troubled, mut conflicts) = (None, 0);
        let error = loop {
            let error = match attempt.run(&self.db).await {
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
            Verdict::Hold if outages < MOST_OUTAGES || !error.ended_connection() => Err(outage(&error)),
            Verdict::Park(reason) => self.park(message, event, origin, reason, error).await,
            Verdict::Bury(reason) => Ok(Tried::Dead(Death::of(reason, &error))),
            // If the database is away in truth, the failure is not recorded either.
            Verdict::Hold | Verdict::Retry | Verdict::AtOnce => self.fail(message, origin, &error).await,
        }
    }

    pub(crate) fn attempt_on<'a>(
        &'a self,
        message: &'a Message,
        event: &'a Envelope,
        origin: Origin,
        number: u32,
    ) -> Attempt<'a> {
        let (registry, own_app) = (&self.registry, &self.config.app_name);
        let in_inbox = self.inbox_keeps(origin);
        Attempt { registry, own_app, message, event, in_inbox, number, takes_time: false }
    }
}

/// The database's error behind an outage; a handler's own text where it hides it.
fn outage(error: &ApplyError) -> DbErr {
    match error {
        ApplyError::Db(error) => error.clone(),
        other => DbErr::Conn(sea_orm::RuntimeErr::Internal(other.to_string())),
    }
}
