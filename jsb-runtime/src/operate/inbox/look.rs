//! What an operator sees of the inbox.

use chrono::{DateTime, Utc};
use sea_orm::sea_query::{Condition, Expr, ExprTrait, Order, Query};
use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr, FromQueryResult, QueryResult};
use serde::Serialize;
use serde_json::Value as Json;

use super::{Filter, Status, TABLE};
use crate::config::Config;
use crate::inbox::{SETTLED, has_key};
use crate::operate::by_the_clock_behind;
use crate::reason::Reason;
use crate::{ask, event};

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
    /// When it came first; later it is when it began to wait for what it lacks, or, if it did not wait, when it was retried or
    /// replayed.
    pub received_at: DateTime<Utc>,
    /// When this side tries it next by itself.
    pub available_at: Option<DateTime<Utc>>,
    /// Until when it may stay parked: then it is dead, or where it deletes a row that has children here, the row is kept.
    #[sea_orm(skip)]
    pub parked_until: Option<DateTime<Utc>>,
    /// When it failed, the last time.
    pub failed_at: Option<DateTime<Utc>>,
    /// When it was processed, or was dead; of what is retried since, when it was dead.
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
    /// The row that it speaks of, as `resource/id`; `None` where its body is no event.
    pub fn row(&self) -> Option<String> {
        (!self.resource_type.is_empty()).then(|| event::row_name(&self.resource_type, &self.resource_id))
    }

    fn read(row: &QueryResult, config: &Config) -> Result<Self, DbErr> {
        let mut event = Self::from_query_result(row, "")?;
        let waits = event.reason.as_deref().filter(|_| event.status == Status::Parked.as_str());
        let longest = |reason: Reason| reason.longest_parking(config.keep_parent_after, config.park_for);
        event.parked_until = waits.and_then(Reason::of_waiting).map(|reason| event.received_at + longest(reason));
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

/// The events that came first, up to `limit`, in the order in which they came. `config` says how long events may stay parked.
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
/// for event in inbox::oldest(db, &config, &parked, 50).await? {
///     println!("{} waits for {:?}", event.event_id, event.waits_for);
/// }
/// # Ok(())
/// # }
/// ```
pub async fn oldest(
    db: &DatabaseConnection,
    config: &Config,
    filter: &Filter,
    limit: u64,
) -> Result<Vec<Event>, DbErr> {
    first(db, config, filter, Order::Asc, limit).await
}

/// The events that came last, up to `limit`, in the order in which they came: the newest comes last. `config` says how long
/// events may stay parked.
///
/// # Errors
///
/// When the database fails.
pub async fn newest(
    db: &DatabaseConnection,
    config: &Config,
    filter: &Filter,
    limit: u64,
) -> Result<Vec<Event>, DbErr> {
    let mut events = first(db, config, filter, Order::Desc, limit).await?;
    events.reverse();
    Ok(events)
}

async fn first(
    db: &DatabaseConnection,
    config: &Config,
    filter: &Filter,
    order: Order,
    limit: u64,
) -> Result<Vec<Event>, DbErr> {
    let select = Query::select()
        .columns(COLUMNS)
        .from(TABLE)
        .cond_where(filter.condition())
        .order_by("received_at", order.clone())
        .order_by("stream_seq", order)
        .limit(limit)
        .to_owned();
    db.query_all(&select).await?.iter().map(|row| Event::read(row, config)).collect()
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
        .cond_where(has_key(source, event_id))
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

/// How many events were settled, that is processed or dead, before this time, which is taken as [`prune`](super::prune) takes
/// it.
///
/// # Errors
///
/// When the database fails.
pub async fn settled_before(db: &DatabaseConnection, before: DateTime<Utc>) -> Result<u64, DbErr> {
    let before = by_the_clock_behind(db, before).await?;
    let settled = Condition::all().add(Expr::cust(SETTLED)).add(Expr::col("processed_at").lt(before));
    ask::count(db, TABLE, settled).await
}
