//! Inbox and outbox rows, as an operator would look at them.

use sea_orm::sea_query::{Expr, ExprTrait, Query};
use sea_orm::{ConnectionTrait, DbErr, FromQueryResult};

/// What an inbox says of an event.
#[derive(Clone, Debug, FromQueryResult)]
#[allow(missing_docs, reason = "the columns say it")]
pub struct InboxRow {
    pub status: String,
    pub starts: i32,
    pub attempts: i32,
    pub last_error: Option<String>,
    pub reason: Option<String>,
    pub payload: Option<Vec<u8>>,
}

/// What an outbox says of the events of a row.
#[derive(Clone, Debug, FromQueryResult)]
#[allow(missing_docs, reason = "the columns say it")]
pub struct OutboxRow {
    pub event_id: String,
    pub status: String,
    pub last_error: Option<String>,
}

/// The inbox row of an event.
pub async fn find<C: ConnectionTrait>(db: &C, event_id: &str) -> Result<Option<InboxRow>, DbErr> {
    let select = Query::select()
        .columns(["status", "starts", "attempts", "last_error", "reason", "payload"])
        .from("inbox_events")
        .and_where(Expr::col("event_id").eq(event_id))
        .to_owned();
    db.query_one(&select).await?.map(|row| InboxRow::from_query_result(&row, "")).transpose()
}

/// The inbox row of an event once it has this status.
pub async fn with_status<C: ConnectionTrait>(db: &C, event_id: &str, status: &str) -> Result<Option<InboxRow>, DbErr> {
    Ok(find(db, event_id).await?.filter(|row| row.status == status))
}

/// The outbox rows of a row, oldest first.
pub async fn outbox<C: ConnectionTrait>(db: &C, resource_id: &str) -> Result<Vec<OutboxRow>, DbErr> {
    let select = Query::select()
        .columns(["event_id", "status", "last_error"])
        .from("outbox_events")
        .and_where(Expr::col("resource_id").eq(resource_id))
        .order_by("id", sea_orm::Order::Asc)
        .to_owned();
    db.query_all(&select).await?.iter().map(|row| OutboxRow::from_query_result(row, "")).collect()
}
