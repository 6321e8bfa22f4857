//! What an operator changes in the inbox: each change is one guarded update, so that it may race with a consumer.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sea_orm::sea_query::{Condition, Expr, ExprTrait, Order, Query, UpdateStatement};
use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr};

use super::{Filter, Status, TABLE, these};
use crate::ask;
use crate::inbox::{self, Move};
use crate::operate::{BATCH, Changed, by_the_clock_behind, in_batches};

/// Has events of the app `source` tried again, dead ones too, whose letter in the DLQ stays. They are due at once, a
/// running consumer takes them within seconds, and their attempts count anew.
///
/// # Errors
///
/// When the database fails. What was changed until then stays changed.
pub async fn retry(db: &DatabaseConnection, source: &str, event_ids: &[String]) -> Result<Changed, DbErr> {
    let retry = || Move::Retry.update().cond_where(is_retryable()).to_owned();
    change(db, source, event_ids, retry, |status| {
        let why = match status.parse() {
            Ok(Status::Processed) => "it is processed; trying it again would do what it did twice",
            Ok(Status::Dead) => "it is dead and its payload is not here; `dlq replay` takes it from the DLQ",
            _ => "a consumer has it in hand; look again in a moment",
        };
        why.to_owned()
    })
    .await
}

/// Gives up dead events of the app `source`: they count as processed, for the reason `discarded`, and are never tried again. Their
/// bodies go; letters in the DLQ stay.
///
/// # Errors
///
/// When the database fails. What was given up until then stays so.
pub async fn discard(db: &DatabaseConnection, source: &str, event_ids: &[String]) -> Result<Changed, DbErr> {
    let is_dead = || Expr::col("status").eq(Status::Dead);
    let discard = || Move::Discard.update().and_where(is_dead()).to_owned();
    change(db, source, event_ids, discard, |status| format!("it is {status}, and only what is dead is discarded")).await
}

/// Makes a change to those of the named events that it is for; `why_not` says of a status why it is not for others.
async fn change(
    db: &DatabaseConnection,
    source: &str,
    event_ids: &[String],
    update: impl Fn() -> UpdateStatement,
    why_not: impl Fn(&str) -> String,
) -> Result<Changed, DbErr> {
    let mut outcome = Changed::default();
    for named in event_ids.chunks(BATCH) {
        let event_id = Query::returning().column("event_id");
        let changed = ask::all(db, update().cond_where(these(source, named)).returning(event_id)).await?;
        outcome.note(named, &changed, &statuses(db, source, named).await?, &why_not);
    }
    Ok(outcome)
}

async fn statuses(
    db: &DatabaseConnection,
    source: &str,
    event_ids: &[String],
) -> Result<BTreeMap<String, String>, DbErr> {
    let select =
        Query::select().columns(["event_id", "status"]).from(TABLE).cond_where(these(source, event_ids)).to_owned();
    ask::pairs(db, &select).await
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
) -> Result<Changed, DbErr> {
    let which = || filter.condition().add(is_retryable());
    let (mut after, mut outcome) = (String::new(), Changed::default());
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
        let ids: Vec<String> = ask::all(db, &select).await?;
        let Some(last) = ids.last() else { return Ok(outcome) };
        let update = Move::Retry.update().cond_where(these(source, &ids)).cond_where(which()).to_owned();
        outcome.changed += db.execute(&update).await?.rows_affected();
        after.clone_from(last);
        progress(outcome.changed);
    }
}

/// Not processed, with a payload to try, and in nobody's hand: what was taken from the inbox and has no outcome yet is its
/// process's until the hold ends.
fn is_retryable() -> Condition {
    let in_hand = Condition::all()
        .add(Expr::col("status").eq(Status::Parked))
        .add(Expr::col("starts").gt(0))
        .add(Expr::col("available_at").gt(crate::clock::now()));
    Condition::all()
        .add(Expr::col("status").ne(Status::Processed))
        .add(Expr::col("payload").is_not_null())
        .add(in_hand.not())
}

/// Deletes the events that were settled before this time; returns how many. One that comes again after that is taken for
/// new: its row is safe by its version, but its handlers run again. `progress` hears how many, now and then. As far as this
/// process's clock is ahead of the database's, the time is set back.
///
/// # Errors
///
/// When the database fails. What was deleted until then stays deleted.
pub async fn prune(db: &DatabaseConnection, before: DateTime<Utc>, progress: impl FnMut(u64)) -> Result<u64, DbErr> {
    let before = by_the_clock_behind(db, before).await?;
    in_batches(|limit| inbox::prune(db, before, limit), progress).await
}
