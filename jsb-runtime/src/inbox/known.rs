//! What the inbox knows of events that come up again.

use std::collections::{BTreeMap, BTreeSet};

use sea_orm::sea_query::{Condition, Expr, ExprTrait, Query};
use sea_orm::{ConnectionTrait, DbErr, QueryResult};

use super::{OPEN, Status, TABLE, has_key};
use crate::ask;
use crate::event::event_type;
use crate::message::Message;
use crate::reason::Reason;

/// An event as the inbox has it.
pub(crate) struct Kept {
    pub(crate) is_processed: bool,
    pub(crate) headers: BTreeMap<String, String>,
    /// Unless it is processed.
    pub(crate) body: Option<Vec<u8>>,
}

/// The row of an event.
pub(crate) async fn find<C: ConnectionTrait>(db: &C, source: &str, event_id: &str) -> Result<Option<Kept>, DbErr> {
    let select = Query::select()
        .columns(["status", "headers", "payload"])
        .from(TABLE)
        .cond_where(has_key(source, event_id))
        .to_owned();
    let Some(row) = db.query_one(&select).await? else { return Ok(None) };
    Ok(Some(Kept {
        is_processed: row.try_get::<String>("", "status")? == Status::Processed.as_str(),
        headers: headers_in(&row)?,
        body: row.try_get("", "payload")?,
    }))
}

/// The headers in a stored row.
pub(super) fn headers_in(row: &QueryResult) -> Result<BTreeMap<String, String>, DbErr> {
    let headers: Option<String> = row.try_get("", "headers")?;
    Ok(headers.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default())
}

/// How often these events had begun without an outcome, by their ids.
pub(crate) async fn starts<C: ConnectionTrait>(
    db: &C,
    source: &str,
    event_ids: &[&str],
) -> Result<BTreeMap<String, i32>, DbErr> {
    let select =
        Query::select().columns(["event_id", "starts"]).from(TABLE).cond_where(any_of(source, event_ids)).to_owned();
    ask::pairs(db, &select).await
}

/// Those of these messages whose events are neither settled nor wait here.
pub(crate) async fn unsettled<C: ConnectionTrait>(
    db: &C,
    source: &str,
    mut messages: Vec<Message>,
) -> Result<Vec<Message>, DbErr> {
    let ids: Vec<&str> = messages.iter().map(|message| message.event_id.as_str()).collect();
    let safe = among(db, source, &ids, &[Status::Processed, Status::Dead, Status::Parked]).await?;
    messages.retain(|message| !safe.contains(&message.event_id));
    Ok(messages)
}

/// Those of these events that have one of these statuses.
pub(crate) async fn among<C: ConnectionTrait>(
    db: &C,
    source: &str,
    event_ids: &[&str],
    statuses: &[Status],
) -> Result<BTreeSet<String>, DbErr> {
    let select = Query::select()
        .column("event_id")
        .from(TABLE)
        .cond_where(any_of(source, event_ids))
        .and_where(Expr::col("status").is_in(statuses.iter().copied()))
        .to_owned();
    ask::all(db, &select).await
}

/// Whether a delete that came before this message failed and is to be tried again: by the server, or here where that has given it
/// up.
pub(crate) async fn is_delete_tried_again<C: ConnectionTrait>(db: &C, message: &Message) -> Result<bool, DbErr> {
    let Some(sequence) = message.stored_seq() else { return Ok(false) };
    let given_up = Expr::col("reason").eq(Reason::DeliveriesSpent);
    let earlier_deletes = Condition::all()
        .add(Expr::cust(OPEN))
        .add(Expr::col("source_app").eq(message.source_app.as_str()))
        .add(Expr::col("event_type").eq(event_type::DELETED))
        .add(Expr::col("stream_seq").lt(sequence))
        .add(Expr::col("status").eq(Status::Failed).or(given_up));
    ask::any(db, TABLE, earlier_deletes).await
}

fn any_of(source: &str, event_ids: &[&str]) -> Condition {
    let is_one = Expr::col("event_id").is_in(event_ids.iter().copied());
    Condition::all().add(Expr::col("source_app").eq(source)).add(is_one)
}
