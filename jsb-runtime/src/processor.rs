//! What the consuming tasks of a bridge share, and how they wait for the database.

mod burial;
pub(crate) mod circle;
mod failure;
mod obstacle;
pub(crate) mod origin;
mod parked;
pub(crate) mod rescue;
mod trial;
mod untangle;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use origin::Origin;
use rescue::Sweep;
use sea_orm::{ConnectionTrait, DatabaseConnection};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use trial::Trial;

use crate::batch::{self, Batch};
use crate::config::Config;
use crate::jetstream::Transport;
use crate::locked::locked;
use crate::message::Message;
use crate::outcome::{Outcome, Settled};
use crate::registry::Registry;
use crate::schema::Said;
use crate::upsert::Applier;
use crate::upsert::ApplyError;
use crate::{backoff, dialect, inbox};

pub(crate) struct Processor {
    pub(crate) db: DatabaseConnection,
    pub(crate) transport: Transport,
    pub(crate) config: Arc<Config>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) stop: CancellationToken,
    /// Whether anything may be parked, so that an applied event need not ask the inbox for who waits for it.
    any_open: watch::Sender<bool>,
    /// Of which attachment the end of the backlog was seen, by when that began.
    caught_up: Mutex<Option<Instant>>,
    sweep: Mutex<Sweep>,
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
        let (any_open, caught_up) = (watch::Sender::new(true), Mutex::new(None));
        let sweep = Mutex::new(Sweep::due_in(Duration::ZERO));
        Self { db, transport, config, registry, stop, any_open, caught_up, sweep }
    }

    /// One whose NATS is away, and for which nothing is registered.
    #[cfg(test)]
    async fn without_nats(db: DatabaseConnection) -> Self {
        let (config, transport) = Transport::without_nats().await;
        Self::new(db, transport, config, Arc::default(), CancellationToken::new())
    }

    fn applier(&self) -> Applier<'_> {
        Applier { app: &self.config.app_name, problems: Some(&self.transport.problems) }
    }

    /// Takes an event to its outcome, waiting while the database is away.
    pub(crate) async fn process(&self, message: &Message, origin: Origin) -> Outcome {
        Trial::of(self, message, origin).run().await
    }

    /// Notes that what there was of the attachment that began then is processed.
    pub(crate) fn catch_up(&self, attached_since: Instant) {
        *locked(&self.caught_up) = Some(attached_since);
    }

    /// How long it has been attached, once it has seen the end of the backlog.
    fn attached_for(&self) -> Option<Duration> {
        let since = self.transport.attached_now()?.since;
        (*locked(&self.caught_up) == Some(since)).then(|| since.elapsed())
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
        let batch = Batch { registry: &self.registry, applier: self.applier(), events };
        dialect::answer(batch.run(&self.db)).await
    }

    /// Messages in the order in which they are tried: one that kills its process comes after those that it took down
    /// with it, since those have begun less often.
    pub(crate) async fn least_begun_first<T>(&self, mut items: Vec<T>, message: impl Fn(&T) -> &Message) -> Vec<T> {
        if items.len() > 1 {
            let ids: Vec<&str> = items.iter().map(|item| message(item).event_id.as_str()).collect();
            let starts = dialect::answer(inbox::starts(&self.db, &self.config.destination_app, &ids)).await;
            // Counts that cannot be read change the order only; the attempts themselves meet the database's trouble.
            let starts = starts.unwrap_or_default();
            let began = |message: &Message| starts.get(&message.event_id).copied().unwrap_or_default();
            items.sort_by_key(|item| (began(message(item)), message(item).stream_seq));
        }
        items
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

    /// Waits out a failure of the database; `false` if the bridge stops first.
    async fn outlast(&self, failures: u32) -> bool {
        self.pause(failures).await && self.until_database_answers().await
    }

    /// Waits a little, longer with every failure; `false` if the bridge stops first.
    async fn pause(&self, failures: u32) -> bool {
        let pause = backoff::doubling(Duration::from_millis(50), Duration::from_secs(2), failures);
        self.stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_some()
    }

    /// The longest that an event waits by the configuration.
    fn longest_wait(&self) -> Duration {
        self.config.longest_backoff().max(self.config.ack_wait)
    }
}
