//! The inbox in an operator's hands: its events are listed, shown, tried again and deleted.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use sea_orm::sea_query::{Condition, Expr, ExprTrait, Order, Query, UpdateStatement};
use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr, FromQueryResult, QueryResult};
use serde::Serialize;
use serde_json::Value as Json;

use super::TABLE;
use crate::config::Config;
use crate::operate::{BATCH, Refused, Retried};
use crate::outcome::Reason;

/// What became of an event of the inbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Status {
    /// It was applied, or was older than what is here.
    Processed,
    /// It failed and is tried again.
    Failed,
    /// It waits for what it lacks.
    Parked,
    /// It is in the DLQ, or where that is off, here.
    Dead,
}

impl Status {
    fn as_str(self) -> &'static str {
        match self {
            Self::Processed => "processed",
            Self::Failed => "failed",
            Self::Parked => "parked",
            Self::Dead => "dead",
        }
    }

    /// Literals rather than bound values; the second is in the words of the partial indexes.
    fn condition(self) -> Condition {
        let indexed = match self {
            Self::Failed | Self::Parked => "status IN ('parked', 'failed')",
            Self::Processed | Self::Dead => "status IN ('processed', 'dead')",
        };
        Condition::all().add(Expr::cust(format!("status = '{self}'"))).add(Expr::cust(indexed))
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Status {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let all = [Self::Processed, Self::Failed, Self::Parked, Self::Dead];
        let found = all.into_iter().find(|status| status.as_str() == text);
        found.ok_or_else(|| format!("`{text}` is no status of an inbox event: write processed, failed, parked or dead"))
    }
}

/// Which events of the inbox are meant; by default all.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Those that stand here.
    pub status: Option<Status>,
    /// Those of this resource.
    pub resource: Option<String>,
    /// Those that are parked or dead for this reason.
    pub reason: Option<String>,
    /// Those that were received at this time or later.
    pub since: Option<DateTime<Utc>>,
}

impl Filter {
    fn condition(&self) -> Condition {
        let equal = |column, value: &Option<String>| value.as_ref().map(|value| Expr::col(column).eq(value.as_str()));
        Condition::all()
            .add_option(self.status.map(Status::condition))
            .add_option(equal("resource_type", &self.resource))
            .add_option(equal("reason", &self.reason))
            .add_option(self.since.map(|since| Expr::col("received_at").gte(since)))
    }
}

/// An event of the inbox, but for what it carries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, FromQueryResult)]
#[non_exhaustive]
pub struct Event {
    /// The app that published it.
    pub source_app: String,
    /// Its id on the wire; one made of the stream sequence where it has none.
    pub event_id: String,
    /// The resource that it speaks of; empty where its body is no event.
    pub resource_type: String,
    /// The row's key.
    pub resource_id: String,
    /// What happened.
    pub event_type: String,
    /// `processed`, `failed`, `parked` or `dead`.
    pub status: String,
    /// Why it is parked or dead.
    pub reason: Option<String>,
    /// The row that it waits for, as `resource/id`.
    pub waits_for: Option<String>,
    /// How often it failed.
    pub attempts: i32,
    /// How often it began since the last outcome.
    pub starts: i32,
    /// Why it failed, the last time.
    pub last_error: Option<String>,
    /// When it was first seen here.
    pub received_at: DateTime<Utc>,
    /// When this side tries it next by itself.
    pub available_at: Option<DateTime<Utc>>,
    /// Until when it may stay parked: then it is dead, or where it deletes a row that has children here, the row is kept.
    #[sea_orm(skip)]
    pub parked_until: Option<DateTime<Utc>>,
    /// When it failed, the last time.
    pub failed_at: Option<DateTime<Utc>>,
    /// When it was processed, or was dead.
    pub processed_at: Option<DateTime<Utc>>,
    /// Its place in the stream.
    pub stream_seq: Option<i64>,
}

const COLUMNS: [&str; 16] = [
    "source_app",
    "event_id",
    "resource_type",
    "resource_id",
    "event_type",
    "status",
    "reason",
    "waits_for",
    "attempts",
    "starts",
    "last_error",
    "received_at",
    "available_at",
    "failed_at",
    "processed_at",
    "stream_seq",
];

impl Event {
    fn read(row: &QueryResult, config: &Config) -> Result<Self, DbErr> {
        let mut event = Self::from_query_result(row, "")?;
        let patience = match event.reason.as_deref().filter(|_| event.status == Status::Parked.as_str()) {
            Some(reason) if reason == Reason::HasChildren.as_str() => Some(config.keep_parent_after),
            Some(reason) if [Reason::ParentMissing, Reason::UniqueConflict].map(Reason::as_str).contains(&reason) => {
                Some(config.park_for)
            }
            _ => None,
        };
        event.parked_until = patience.map(|patience| event.received_at + patience);
        Ok(event)
    }
}

/// An event of the inbox with all that is known of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Details {
    /// The event.
    #[serde(flatten)]
    pub event: Event,
    /// Where it was published.
    pub subject: String,
    /// The headers that came with it.
    pub headers: Json,
    /// The message's body, as a text where it is no JSON; none where the event was processed, since it is no longer needed.
    pub payload: Option<Json>,
}

/// Up to `limit` events in the order in which they came: the oldest, or else the newest. `config` says how long events
/// may stay parked.
///
/// # Errors
///
/// When the database fails.
///
/// # Example
///
/// ```
/// use jsb_runtime::operate::inbox::{self, Filter, Status};
///
/// # async fn example(db: &sea_orm::DatabaseConnection) -> Result<(), Box<dyn std::error::Error>> {
/// let config = jsb_runtime::Config::from_env()?;
/// let parked = Filter { status: Some(Status::Parked), ..Filter::default() };
/// for event in inbox::list(db, &config, &parked, true, 50).await? {
///     println!("{} waits for {:?}", event.event_id, event.waits_for);
/// }
/// # Ok(())
/// # }
/// ```
pub async fn list(
    db: &DatabaseConnection,
    config: &Config,
    filter: &Filter,
    oldest: bool,
    limit: u64,
) -> Result<Vec<Event>, DbErr> {
    let order = || if oldest { Order::Asc } else { Order::Desc };
    let select = Query::select()
        .columns(COLUMNS)
        .from(TABLE)
        .cond_where(filter.condition())
        .order_by("received_at", order())
        .order_by("stream_seq", order())
        .limit(limit)
        .to_owned();
    let rows = db.query_all(&select).await?;
    let mut events = rows.iter().map(|row| Event::read(row, config)).collect::<Result<Vec<_>, _>>()?;
    if !oldest {
        events.reverse();
    }
    Ok(events)
}

/// All that is known of an event of the app `source`, if there is one of this id.
///
/// # Errors
///
/// When the database fails.
pub async fn show(
    db: &DatabaseConnection,
    config: &Config,
    source: &str,
    event_id: &str,
) -> Result<Option<Details>, DbErr> {
    let select = Query::select()
        .columns(COLUMNS)
        .columns(["subject", "headers", "payload"])
        .from(TABLE)
        .cond_where(these(source, &[event_id.to_owned()]))
        .to_owned();
    let Some(row) = db.query_one(&select).await? else { return Ok(None) };
    let headers: Option<String> = row.try_get("", "headers")?;
    let payload: Option<Vec<u8>> = row.try_get("", "payload")?;
    Ok(Some(Details {
        event: Event::read(&row, config)?,
        subject: row.try_get("", "subject")?,
        headers: headers.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default(),
        payload: payload.map(|body| as_json(&body)),
    }))
}

fn as_json(body: &[u8]) -> Json {
    serde_json::from_slice(body).unwrap_or_else(|_| String::from_utf8_lossy(body).into_owned().into())
}

/// Has events of the app `source` tried again, dead ones too, whose letter in the DLQ stays. They are due at once, a
/// running consumer takes them within seconds, and their attempts count anew.
///
/// # Errors
///
/// When the database fails. What was changed until then stays changed.
pub async fn retry(db: &DatabaseConnection, source: &str, event_ids: &[String]) -> Result<Retried, DbErr> {
    let mut outcome = Retried::default();
    for named in event_ids.chunks(BATCH) {
        let update = due_now()
            .cond_where(these(source, named))
            .cond_where(is_retryable())
            .returning(Query::returning().column("event_id"))
            .to_owned();
        let due = db.query_all(&update).await?;
        let due = due.iter().map(|row| row.try_get("", "event_id")).collect::<Result<Vec<String>, DbErr>>()?;
        outcome.retried += due.len() as u64;
        let select =
            Query::select().columns(["event_id", "status"]).from(TABLE).cond_where(these(source, named)).to_owned();
        let found = db.query_all(&select).await?;
        let found = found.iter().map(|row| Ok((row.try_get("", "event_id")?, row.try_get("", "status")?)));
        let found = found.collect::<Result<Vec<(String, String)>, DbErr>>()?;
        for event_id in named.iter().filter(|event_id| !due.contains(event_id)) {
            match found.iter().find(|(id, _)| id == event_id) {
                Some((_, status)) => {
                    let why = why_not(status).to_owned();
                    outcome.refused.push(Refused { event_id: event_id.clone(), why });
                }
                None => outcome.unknown.push(event_id.clone()),
            }
        }
    }
    Ok(outcome)
}

fn why_not(status: &str) -> &'static str {
    match status {
        "processed" => "it is processed; trying it again would do what it did twice",
        "dead" => "it is dead and its payload is not here; `dlq replay` takes it from the DLQ",
        _ => "a consumer has it in hand; look again in a moment",
    }
}

/// As [`retry`], for all events of the app `source` that `filter` means and that are not processed. `progress` hears how
/// many were changed, now and then.
///
/// # Errors
///
/// When the database fails. What was changed until then stays changed.
pub async fn retry_all(
    db: &DatabaseConnection,
    source: &str,
    filter: &Filter,
    mut progress: impl FnMut(u64),
) -> Result<Retried, DbErr> {
    let which = || filter.condition().add(is_retryable());
    let (mut after, mut outcome) = (String::new(), Retried::default());
    loop {
        let select = Query::select()
            .column("event_id")
            .from(TABLE)
            .and_where(Expr::col("source_app").eq(source))
            .and_where(Expr::col("event_id").gt(after.as_str()))
            .cond_where(which())
            .order_by("event_id", Order::Asc)
            .limit(BATCH as u64)
            .to_owned();
        let rows = db.query_all(&select).await?;
        let ids = rows.iter().map(|row| row.try_get("", "event_id")).collect::<Result<Vec<String>, DbErr>>()?;
        let Some(last) = ids.last() else { return Ok(outcome) };
        let update = due_now().cond_where(these(source, &ids)).cond_where(which()).to_owned();
        outcome.retried += db.execute(&update).await?.rows_affected();
        after.clone_from(last);
        progress(outcome.retried);
    }
}

fn these(source: &str, event_ids: &[String]) -> Condition {
    Condition::all()
        .add(Expr::col("source_app").eq(source))
        .add(Expr::col("event_id").is_in(event_ids.iter().map(String::as_str)))
}

/// Not processed, with a payload to try, and in nobody's hand: what was taken from the inbox and has no outcome yet is its
/// process's until the hold ends.
fn is_retryable() -> Condition {
    let in_hand = Condition::all()
        .add(Expr::col("status").eq(Status::Parked.as_str()))
        .add(Expr::col("starts").gt(0))
        .add(Expr::col("available_at").gt(crate::clock::now()));
    Condition::all()
        .add(Expr::col("status").ne(Status::Processed.as_str()))
        .add(Expr::col("payload").is_not_null())
        .add(in_hand.not())
}

/// The change that makes events due as if they had never been tried.
fn due_now() -> UpdateStatement {
    Query::update()
        .table(TABLE)
        .values([
            ("status", Status::Parked.as_str().into()),
            ("reason", Reason::Retried.as_str().into()),
            ("waits_for", Expr::null()),
            ("starts", 0.into()),
            ("attempts", 0.into()),
            ("available_at", crate::clock::now().into()),
            ("processed_at", Expr::null()),
        ])
        .to_owned()
}

/// How many events were settled, that is processed or dead, before this time.
///
/// # Errors
///
/// When the database fails.
pub async fn settled_before(db: &DatabaseConnection, before: DateTime<Utc>) -> Result<u64, DbErr> {
    let select = Query::select()
        .expr_as(Expr::col("event_id").count(), "events")
        .from(TABLE)
        .and_where(Expr::cust("status IN ('processed', 'dead')"))
        .and_where(Expr::col("processed_at").lt(before))
        .to_owned();
    let row = db.query_one(&select).await?;
    Ok(row.map(|row| row.try_get::<i64>("", "events")).transpose()?.unwrap_or(0).unsigned_abs())
}

/// Deletes the events that were settled before this time; returns how many. One that comes again after that is taken for
/// new: its row is safe by its version, but its handlers run again. `progress` hears how many, now and then.
///
/// # Errors
///
/// When the database fails. What was deleted until then stays deleted.
pub async fn prune(
    db: &DatabaseConnection,
    before: DateTime<Utc>,
    mut progress: impl FnMut(u64),
) -> Result<u64, DbErr> {
    let mut pruned = 0;
    loop {
        let batch = super::prune(db, before, BATCH as u64).await?;
        pruned += batch;
        progress(pruned);
        if batch < BATCH as u64 {
            return Ok(pruned);
        }
    }
}
