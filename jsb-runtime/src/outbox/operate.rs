//! The outbox in an operator's hands: its events are listed, shown, tried again and deleted.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use sea_orm::sea_query::{Condition, Expr, ExprTrait, Order, Query, SelectStatement, UpdateStatement};
use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr, FromQueryResult};
use serde::Serialize;
use serde_json::Value as Json;

use super::TABLE;
use crate::operate::{BATCH, Refused, Retried};

/// Where an event of the outbox stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Status {
    /// It waits to be published.
    Pending,
    /// It can never be published as it is.
    Failed,
    /// JetStream has acknowledged it.
    Sent,
}

impl Status {
    fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Failed => "failed",
            Self::Sent => "sent",
        }
    }

    /// A literal rather than a bound value, in the words of the partial indexes.
    fn condition(self) -> Expr {
        Expr::cust(format!("status = '{self}'"))
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
        let all = [Self::Pending, Self::Failed, Self::Sent];
        let found = all.into_iter().find(|status| status.as_str() == text);
        found.ok_or_else(|| format!("`{text}` is no status of an outbox event: write pending, failed or sent"))
    }
}

/// Which events of the outbox are meant; by default all.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Those that stand here.
    pub status: Option<Status>,
    /// Those of this resource.
    pub resource: Option<String>,
    /// Those that were recorded at this time or later.
    pub since: Option<DateTime<Utc>>,
}

impl Filter {
    fn condition(&self) -> Condition {
        Condition::all()
            .add_option(self.status.map(Status::condition))
            .add_option(self.resource.as_ref().map(|resource| Expr::col("resource_type").eq(resource.as_str())))
            .add_option(self.since.map(|since| Expr::col("created_at").gte(since)))
    }
}

/// An event of the outbox, but for what it carries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, FromQueryResult)]
#[non_exhaustive]
pub struct Event {
    /// Its place in the order of the events.
    pub id: i64,
    /// Its id on the wire.
    pub event_id: String,
    /// The resource that it speaks of.
    pub resource_type: String,
    /// The row's key.
    pub resource_id: String,
    /// What happened.
    pub event_type: String,
    /// `pending`, `failed` or `sent`.
    pub status: String,
    /// How often the server refused it.
    pub attempts: i32,
    /// Why, the last time.
    pub last_error: Option<String>,
    /// When it was recorded.
    pub created_at: DateTime<Utc>,
    /// When it is tried next, if the server refused it before.
    pub available_at: DateTime<Utc>,
    /// When JetStream acknowledged it.
    pub sent_at: Option<DateTime<Utc>>,
}

const COLUMNS: [&str; 11] = [
    "id",
    "event_id",
    "resource_type",
    "resource_id",
    "event_type",
    "status",
    "attempts",
    "last_error",
    "created_at",
    "available_at",
    "sent_at",
];

/// An event of the outbox with all that is known of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Details {
    /// The event.
    #[serde(flatten)]
    pub event: Event,
    /// The headers that travel with it.
    pub headers: Json,
    /// The row, or whatever it carries.
    pub payload: Json,
}

/// Up to `limit` events in their order: the oldest, or else the newest.
///
/// # Errors
///
/// When the database fails.
///
/// # Example
///
/// ```
/// use jsb_runtime::operate::outbox::{self, Filter, Status};
///
/// # async fn example(db: &sea_orm::DatabaseConnection) -> Result<(), sea_orm::DbErr> {
/// let failed = Filter { status: Some(Status::Failed), ..Filter::default() };
/// for event in outbox::list(db, &failed, true, 50).await? {
///     println!("{}: {:?}", event.event_id, event.last_error);
/// }
/// # Ok(())
/// # }
/// ```
pub async fn list(db: &DatabaseConnection, filter: &Filter, oldest: bool, limit: u64) -> Result<Vec<Event>, DbErr> {
    let order = if oldest { Order::Asc } else { Order::Desc };
    let select = Query::select()
        .columns(COLUMNS)
        .from(TABLE)
        .cond_where(filter.condition())
        .order_by("id", order)
        .limit(limit)
        .to_owned();
    let mut events = read(db, &select).await?;
    if !oldest {
        events.reverse();
    }
    Ok(events)
}

async fn read(db: &DatabaseConnection, select: &SelectStatement) -> Result<Vec<Event>, DbErr> {
    db.query_all(select).await?.iter().map(|row| Event::from_query_result(row, "")).collect()
}

/// All that is known of an event, if there is one of this id.
///
/// # Errors
///
/// When the database fails.
pub async fn show(db: &DatabaseConnection, event_id: &str) -> Result<Option<Details>, DbErr> {
    let select = Query::select()
        .columns(COLUMNS)
        .columns(["headers", "payload"])
        .from(TABLE)
        .and_where(Expr::col("event_id").eq(event_id))
        .to_owned();
    let Some(row) = db.query_one(&select).await? else { return Ok(None) };
    let json = |column: &str| -> Result<Json, DbErr> {
        let text: String = row.try_get("", column)?;
        Ok(serde_json::from_str(&text).unwrap_or(Json::String(text)))
    };
    Ok(Some(Details {
        event: Event::from_query_result(&row, "")?,
        headers: json("headers")?,
        payload: json("payload")?,
    }))
}

/// Has failed events published again, and those that the server refused for now at once. Their attempts count anew.
///
/// # Errors
///
/// When the database fails. What was changed until then stays changed, and doing it again changes nothing more.
pub async fn retry(db: &DatabaseConnection, event_ids: &[String]) -> Result<Retried, DbErr> {
    let mut outcome = Retried::default();
    for named in event_ids.chunks(BATCH) {
        let these = || Expr::col("event_id").is_in(named.iter().map(String::as_str));
        let update = due_now()
            .and_where(these())
            .cond_where(is_held_up())
            .returning(Query::returning().column("event_id"))
            .to_owned();
        let due: Vec<String> = texts(db.query_all(&update).await?, "event_id")?;
        outcome.retried += due.len() as u64;
        let found = read(db, &Query::select().columns(COLUMNS).from(TABLE).and_where(these()).to_owned()).await?;
        for event_id in named.iter().filter(|event_id| !due.contains(event_id)) {
            match found.iter().find(|event| event.event_id == *event_id) {
                Some(event) => outcome.refused.push(Refused { event_id: event_id.clone(), why: why_not(event) }),
                None => outcome.unknown.push(event_id.clone()),
            }
        }
    }
    super::hint();
    Ok(outcome)
}

fn why_not(event: &Event) -> String {
    match event.status.as_str() {
        "sent" => "it is sent; `outbox republish` publishes such events again".to_owned(),
        status => format!("it is {status} and not held up; the relay publishes it"),
    }
}

/// As [`retry`], for all events that are held up and that `filter` means. `progress` hears how many were changed, now and then.
///
/// # Errors
///
/// When the database fails. What was changed until then stays changed, and doing it again changes nothing more.
pub async fn retry_all(
    db: &DatabaseConnection,
    filter: &Filter,
    mut progress: impl FnMut(u64),
) -> Result<Retried, DbErr> {
    let which = || filter.condition().add(is_held_up());
    let (mut after, mut outcome) = (i64::MIN, Retried::default());
    while let Some(ids) = next_ids(db, which(), after).await? {
        let update = due_now().and_where(Expr::col("id").is_in(ids.iter().copied())).cond_where(which()).to_owned();
        outcome.retried += db.execute(&update).await?.rows_affected();
        after = ids.last().copied().unwrap_or(i64::MAX);
        progress(outcome.retried);
    }
    super::hint();
    Ok(outcome)
}

/// Failed, or refused for now and delayed.
fn is_held_up() -> Condition {
    let delayed = Condition::all().add(Status::Pending.condition()).add(Expr::col("attempts").gt(0));
    Condition::any().add(Status::Failed.condition()).add(delayed)
}

/// The change that makes events pending as if they had just been recorded.
fn due_now() -> UpdateStatement {
    Query::update()
        .table(TABLE)
        .values([
            ("status", "pending".into()),
            ("attempts", 0.into()),
            ("available_at", crate::clock::now().into()),
            ("sent_at", Expr::null()),
        ])
        .to_owned()
}

/// The ids of the next batch, in their order; `None` if there are no more.
async fn next_ids(db: &DatabaseConnection, which: Condition, after: i64) -> Result<Option<Vec<i64>>, DbErr> {
    let select = Query::select()
        .column("id")
        .from(TABLE)
        .cond_where(which)
        .and_where(Expr::col("id").gt(after))
        .order_by("id", Order::Asc)
        .limit(BATCH as u64)
        .to_owned();
    let ids: Result<Vec<i64>, DbErr> = db.query_all(&select).await?.iter().map(|row| row.try_get("", "id")).collect();
    ids.map(|ids| Some(ids).filter(|ids| !ids.is_empty()))
}

fn texts(rows: Vec<sea_orm::QueryResult>, column: &str) -> Result<Vec<String>, DbErr> {
    rows.iter().map(|row| row.try_get("", column)).collect()
}

/// How many events were sent at this time or later, of one resource or of all.
///
/// # Errors
///
/// When the database fails.
pub async fn sent_since(db: &DatabaseConnection, since: DateTime<Utc>, resource: Option<&str>) -> Result<u64, DbErr> {
    count(db, was_sent_since(since, resource)).await
}

fn was_sent_since(since: DateTime<Utc>, resource: Option<&str>) -> Condition {
    Condition::all()
        .add(Status::Sent.condition())
        .add(Expr::col("sent_at").gte(since))
        .add_option(resource.map(|resource| Expr::col("resource_type").eq(resource)))
}

/// Makes the next batch of sent events pending again, in their order, those after the id `after` that were sent `since`;
/// how many, and the id that it came to. `None` if there are no more.
pub(crate) async fn unsend(
    db: &DatabaseConnection,
    since: DateTime<Utc>,
    resource: Option<&str>,
    after: i64,
) -> Result<Option<(u64, i64)>, DbErr> {
    let Some(ids) = next_ids(db, was_sent_since(since, resource), after).await? else { return Ok(None) };
    let update =
        due_now().and_where(Expr::col("id").is_in(ids.iter().copied())).and_where(Status::Sent.condition()).to_owned();
    let changed = db.execute(&update).await?.rows_affected();
    Ok(ids.last().map(|last| (changed, *last)))
}

/// How many events were sent before this time.
///
/// # Errors
///
/// When the database fails.
pub async fn sent_before(db: &DatabaseConnection, before: DateTime<Utc>) -> Result<u64, DbErr> {
    count(db, Condition::all().add(Status::Sent.condition()).add(Expr::col("sent_at").lt(before))).await
}

/// Deletes the events that were sent before this time, which can then not be published again; returns how many.
/// `progress` hears how many, now and then.
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

/// The first and the last of the events that wait, `None` if none does.
pub(crate) async fn span_of_pending(db: &DatabaseConnection) -> Result<Option<(i64, i64)>, DbErr> {
    let select = Query::select()
        .expr_as(Expr::col("id").min(), "first")
        .expr_as(Expr::col("id").max(), "last")
        .from(TABLE)
        .and_where(Status::Pending.condition())
        .to_owned();
    let Some(row) = db.query_one(&select).await? else { return Ok(None) };
    let (first, last): (Option<i64>, Option<i64>) = (row.try_get("", "first")?, row.try_get("", "last")?);
    Ok(first.zip(last))
}

/// How many events of a span stand there.
pub(crate) async fn count_of(db: &DatabaseConnection, status: Status, span: (i64, i64)) -> Result<u64, DbErr> {
    count(db, Condition::all().add(status.condition()).add(Expr::col("id").between(span.0, span.1))).await
}

async fn count(db: &DatabaseConnection, which: Condition) -> Result<u64, DbErr> {
    let select = Query::select().expr_as(Expr::col("id").count(), "events").from(TABLE).cond_where(which).to_owned();
    let row = db.query_one(&select).await?;
    Ok(row.map(|row| row.try_get::<i64>("", "events")).transpose()?.unwrap_or(0).unsigned_abs())
}
