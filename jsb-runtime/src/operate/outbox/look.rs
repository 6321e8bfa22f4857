//! What an operator sees of the outbox.

use chrono::{DateTime, Utc};
use sea_orm::sea_query::{Condition, Expr, ExprTrait, Order, Query, SelectStatement};
use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr, FromQueryResult};
use serde::Serialize;
use serde_json::Value as Json;

use super::{Filter, Status, TABLE, was_sent_since};
use crate::operate::by_the_clock_behind;
use crate::{ask, event};

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
    /// When JetStream acknowledged it, the last time.
    pub sent_at: Option<DateTime<Utc>>,
}

impl Event {
    /// The row that it speaks of, as `resource/id`.
    pub fn row(&self) -> String {
        event::row_name(&self.resource_type, &self.resource_id)
    }
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

/// The oldest events, up to `limit`, in their order.
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
/// for event in outbox::oldest(db, &failed, 50).await? {
///     println!("{}: {:?}", event.event_id, event.last_error);
/// }
/// # Ok(())
/// # }
/// ```
pub async fn oldest(db: &DatabaseConnection, filter: &Filter, limit: u64) -> Result<Vec<Event>, DbErr> {
    first(db, filter, Order::Asc, limit).await
}

/// The newest events, up to `limit`, in their order: the newest comes last.
///
/// # Errors
///
/// When the database fails.
pub async fn newest(db: &DatabaseConnection, filter: &Filter, limit: u64) -> Result<Vec<Event>, DbErr> {
    let mut events = first(db, filter, Order::Desc, limit).await?;
    events.reverse();
    Ok(events)
}

async fn first(db: &DatabaseConnection, filter: &Filter, order: Order, limit: u64) -> Result<Vec<Event>, DbErr> {
    let select = Query::select()
        .columns(COLUMNS)
        .from(TABLE)
        .cond_where(filter.condition())
        .order_by("id", order)
        .limit(limit)
        .to_owned();
    read(db, &select).await
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

/// How many events were sent at this time or later, of one resource or of all.
///
/// # Errors
///
/// When the database fails.
pub async fn sent_since(db: &DatabaseConnection, since: DateTime<Utc>, resource: Option<&str>) -> Result<u64, DbErr> {
    ask::count(db, TABLE, was_sent_since(since, resource)).await
}

/// How many events were sent before this time, which is taken as [`prune`](super::prune) takes it.
///
/// # Errors
///
/// When the database fails.
pub async fn sent_before(db: &DatabaseConnection, before: DateTime<Utc>) -> Result<u64, DbErr> {
    let before = by_the_clock_behind(db, before).await?;
    ask::count(db, TABLE, Condition::all().add(Status::Sent.condition()).add(Expr::col("sent_at").lt(before))).await
}

/// The events with these ids, in their order.
pub(crate) async fn with_ids(db: &DatabaseConnection, ids: Vec<i64>) -> Result<Vec<Event>, DbErr> {
    let select = Query::select()
        .columns(COLUMNS)
        .from(TABLE)
        .and_where(Expr::col("id").is_in(ids))
        .order_by("id", Order::Asc)
        .to_owned();
    read(db, &select).await
}
