//! What an operator's replay and sweep need of the inbox.

use std::collections::{BTreeMap, BTreeSet};

use sea_orm::sea_query::{Expr, ExprTrait, Query, UpdateStatement};
use sea_orm::{ConnectionTrait, DbErr};

use super::{Move, TABLE, has_key, make};
use crate::message::Message;

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
    let headers: Option<String> = row.try_get("", "headers")?;
    Ok(Some(Kept {
        is_processed: row.try_get::<String>("", "status")? == "processed",
        headers: headers.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default(),
        body: row.try_get("", "payload")?,
    }))
}

/// Opens a dead event again.
pub(crate) async fn reopen<C: ConnectionTrait>(db: &C, source: &str, event_id: &str) -> Result<(), DbErr> {
    let opened = opened(source, event_id).and_where(Expr::col("status").is_in(["dead", "failed"])).to_owned();
    db.execute(&opened).await.map(drop)
}

/// Opens the event of a replayed message whose death was recorded only after the replay had opened it: its letter can be
/// read a moment before. A death of this very message stays.
pub(crate) async fn reopen_for<C: ConnectionTrait>(db: &C, message: &Message) -> Result<(), DbErr> {
    let Ok(sequence) = i64::try_from(message.stream_seq) else { return Ok(()) };
    let opened = opened(&message.source_app, &message.event_id)
        .and_where(Expr::col("status").eq("dead"))
        .and_where(Expr::col("stream_seq").lt(sequence))
        .to_owned();
    db.execute(&opened).await.map(drop)
}

fn opened(source: &str, event_id: &str) -> UpdateStatement {
    Move::Reopen.update().cond_where(has_key(source, event_id)).to_owned()
}

/// Those of these messages whose events are neither settled nor wait here.
pub(crate) async fn unsettled<C: ConnectionTrait>(
    db: &C,
    source: &str,
    mut messages: Vec<Message>,
) -> Result<Vec<Message>, DbErr> {
    let ids: Vec<&str> = messages.iter().map(|message| message.event_id.as_str()).collect();
    let safe = among(db, source, &ids, &["processed", "dead", "parked"]).await?;
    messages.retain(|message| !safe.contains(&message.event_id));
    Ok(messages)
}

/// Those of these events that have one of these statuses.
pub(crate) async fn among<C: ConnectionTrait>(
    db: &C,
    source: &str,
    event_ids: &[&str],
    statuses: &[&str],
) -> Result<BTreeSet<String>, DbErr> {
    let select = Query::select()
        .column("event_id")
        .from(TABLE)
        .and_where(Expr::col("source_app").eq(source))
        .and_where(Expr::col("event_id").is_in(event_ids.iter().copied()))
        .and_where(Expr::col("status").is_in(statuses.iter().copied()))
        .to_owned();
    db.query_all(&select).await?.iter().map(|row| row.try_get("", "event_id")).collect()
}

/// Makes an event due that the server has given up; `false` if it is settled, or waits here already.
pub(crate) async fn adopt<C: ConnectionTrait>(db: &C, message: &Message) -> Result<bool, DbErr> {
    Ok(make(db, message, Move::Adopt).await?.is_some())
}
