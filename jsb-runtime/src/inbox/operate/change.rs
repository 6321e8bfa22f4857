//! What an operator changes in the inbox: each change is one guarded update, so that it may race with a consumer.

use chrono::{DateTime, Utc};
use sea_orm::sea_query::{Condition, Expr, ExprTrait, Order, Query};
use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr};

use super::{Filter, Status, TABLE, these};
use crate::inbox::{self, Move};
use crate::operate::{BATCH, Refused, Retried, in_batches};

/// Has events of the app `source` tried again, dead ones too, whose letter in the DLQ stays. They are due at once, a
/// running consumer takes them within seconds, and their attempts count anew.
///
/// # Errors
///
/// When the database fails. What was changed until then stays changed.
pub async fn retry(db: &DatabaseConnection, source: &str, event_ids: &[String]) -> Result<Retried, DbErr> {
    let mut outcome = Retried::default();
    for named in event_ids.chunks(BATCH) {
        let update = Move::Retry
            .update()
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
        let update = Move::Retry.update().cond_where(these(source, &ids)).cond_where(which()).to_owned();
        outcome.retried += db.execute(&update).await?.rows_affected();
        after.clone_from(last);
        progress(outcome.retried);
    }
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

/// Deletes the events that were settled before this time; returns how many. One that comes again after that is taken for
/// new: its row is safe by its version, but its handlers run again. `progress` hears how many, now and then.
///
/// # Errors
///
/// When the database fails. What was deleted until then stays deleted.
pub async fn prune(db: &DatabaseConnection, before: DateTime<Utc>, progress: impl FnMut(u64)) -> Result<u64, DbErr> {
    in_batches(|limit| inbox::prune(db, before, limit), progress).await
}
