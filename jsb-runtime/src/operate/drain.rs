//! The outbox is drained now, in this process: for an application whose relay does not run, and to see what is in the way.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use sea_orm::sea_query::{Condition, Expr, ExprTrait, Query};
use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr};
use serde::Serialize;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{PATIENCE, as_user};
use crate::causes::chain;
use crate::config::Config;
use crate::dialect::answer;
use crate::jetstream::{PublishError, Transport};
use crate::operate::outbox::{Event, Status, with_ids};
use crate::outbox::TABLE;
use crate::preflight::{self, StartError};
use crate::relay::{Hand, Relay, Step};
use crate::{ask, backoff};

/// How soon it is looked again where nothing can be done for now.
const POLL: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How many of the events that failed are told.
const TOLD: usize = 10;

/// How far the outbox is drained.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
#[must_use]
pub struct Drained {
    /// Events that waited at the beginning and are published now.
    pub published: u64,
    /// Events that waited and can never be published as they are.
    pub failed: u64,
    /// The first ten of these; each says why.
    #[serde(skip)]
    pub first_failed: Vec<Event>,
    /// Events that still wait.
    pub left: u64,
    /// Whether a running relay holds the lease, so that the events are its.
    pub by_running_relay: bool,
    /// What was in the way the last time, if events still wait.
    pub error: Option<String>,
}

/// Publishes the events that wait now, as the relay does: in order, and under its lease. Where a running relay holds that,
/// it watches that one. Needs no right at the server but to publish. `progress` hears how far it is, now and then.
///
/// # Errors
///
/// [`StartError`] if it cannot begin, or the database fails. What could not be published within `timeout` is no error:
/// [`Drained`] says so.
///
/// # Example
///
/// ```no_run
/// # async fn example(db: &sea_orm::DatabaseConnection) -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
///
/// let config = jsb_runtime::Config::from_env()?;
/// let drained = jsb_runtime::operate::process_pending(config, db, Duration::from_secs(60), |_| {}).await?;
/// assert_eq!(drained.left, 0, "{:?}", drained.error);
/// # Ok(())
/// # }
/// ```
pub async fn process_pending(
    config: Config,
    db: &DatabaseConnection,
    timeout: Duration,
    progress: impl FnMut(&Drained),
) -> Result<Drained, StartError> {
    config.validate()?;
    preflight::check_owner(db, &config.app_name).await?;
    let Some(span) = Span::of_pending(db).await? else { return Ok(Drained::default()) };
    let app = config.app_name.clone();
    let config = Arc::new(as_user(config, &app));
    let until = Instant::now() + timeout;
    let transport = Transport::connect(Arc::clone(&config), until.min(Instant::now() + PATIENCE)).await?;
    let relay = Relay { db: db.clone(), transport: transport.clone(), config, stop: CancellationToken::new() };
    let drained = Drain { relay, span, until }.run(progress).await;
    transport.close().await;
    Ok(drained?)
}

struct Drain {
    relay: Relay,
    span: Span,
    until: Instant,
}

/// The events from one id to another: those that waited at the beginning, and what was sent in between.
struct Span {
    first: i64,
    last: i64,
}

impl Span {
    /// From the first to the last of the events that wait; `None` if none does.
    async fn of_pending(db: &DatabaseConnection) -> Result<Option<Self>, DbErr> {
        let select = Query::select()
            .expr_as(Expr::col("id").min(), "first")
            .expr_as(Expr::col("id").max(), "last")
            .from(TABLE)
            .and_where(Status::Pending.condition())
            .to_owned();
        let Some(row) = db.query_one(&select).await? else { return Ok(None) };
        let (first, last): (Option<i64>, Option<i64>) = (row.try_get("", "first")?, row.try_get("", "last")?);
        Ok(first.zip(last).map(|(first, last)| Self { first, last }))
    }

    /// How many of its events stand there.
    async fn count(&self, db: &DatabaseConnection, status: Status) -> Result<u64, DbErr> {
        ask::count(db, TABLE, self.with(status)).await
    }

    /// The ids of its events that stand there.
    async fn ids(&self, db: &DatabaseConnection, status: Status) -> Result<BTreeSet<i64>, DbErr> {
        let select = Query::select().column("id").from(TABLE).cond_where(self.with(status)).to_owned();
        ask::all(db, &select).await
    }

    fn with(&self, status: Status) -> Condition {
        Condition::all().add(status.condition()).add(Expr::col("id").between(self.first, self.last))
    }
}

impl Drain {
    async fn run(&self, mut progress: impl FnMut(&Drained)) -> Result<Drained, DbErr> {
        let db = &self.relay.db;
        let waited = answer(self.span.count(db, Status::Pending)).await?;
        let failed_before = self.span.ids(db, Status::Failed).await?;
        let mut drained = Drained { left: waited, ..Drained::default() };
        let mut hand = Hand::empty();
        let mut failures = 0;
        loop {
            let step = self.relay.step(&mut hand, self.relay.transport.is_connected()).await?;
            drained.by_running_relay = matches!(step, Step::Elsewhere);
            drained.left = answer(self.span.count(db, Status::Pending)).await?;
            drained.published = waited.saturating_sub(drained.left);
            progress(&drained);
            failures = if let Step::Refused(_) = &step { failures + 1 } else { 0 };
            match &step {
                Step::Refused(error) => drained.error = Some(self.described(error)),
                Step::Published | Step::Elsewhere => drained.error = None,
                Step::Idle | Step::Waiting => {}
            }
            if drained.left == 0 || Instant::now() >= self.until {
                break;
            }
            // What is not over by then is for the caller to see.
            let _ = tokio::time::timeout_at(self.until, self.sit_out(step, failures)).await;
        }
        self.relay.leave(hand).await?;
        let failed = self.span.ids(db, Status::Failed).await?;
        let failed: Vec<i64> = failed.difference(&failed_before).copied().collect();
        let first_failed = with_ids(db, failed.iter().copied().take(TOLD).collect()).await?;
        let failed = failed.len() as u64;
        let error = drained.error.filter(|_| drained.left > 0);
        let published = drained.published.saturating_sub(failed);
        Ok(Drained { published, failed, first_failed, error, ..drained })
    }

    fn described(&self, error: &PublishError) -> String {
        match error {
            PublishError::NotConnected => self.relay.transport.all_problems().join("; "),
            error => chain(error),
        }
    }

    /// Waits until another step makes sense.
    async fn sit_out(&self, step: Step, failures: u32) {
        match step {
            Step::Published => {}
            Step::Idle | Step::Waiting | Step::Elsewhere => tokio::time::sleep(POLL).await,
            Step::Refused(PublishError::NotConnected) => self.relay.transport.until_connected().await,
            Step::Refused(_) => tokio::time::sleep(backoff::doubling(POLL, LONGEST_PAUSE, failures)).await,
        }
    }
}
