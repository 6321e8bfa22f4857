//! What an operator changes in the outbox: each change is one guarded update, so that it may race with the relay.

use chrono::{DateTime, Utc};
use sea_orm::sea_query::{Condition, Expr, ExprTrait, Order, Query, UpdateStatement};
use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr};

use super::{Filter, Status, TABLE, was_sent_since};
use crate::operate::{BATCH, Changed, by_the_clock_behind, change_named, event_id, in_batches};
use crate::{ask, outbox};

/// Has failed events published again, and those that the server refused for now at once. Their attempts count anew.
///
/// # Errors
///
/// When the database fails. What was changed until then stays changed, and doing it again changes nothing more.
pub async fn retry(db: &DatabaseConnection, event_ids: &[String]) -> Result<Changed, DbErr> {
    let retry =
        |named: Condition| due_now().cond_where(named).cond_where(is_held_up()).returning(event_id()).to_owned();
    let outcome = change_named(db, TABLE, event_ids, these, retry, |status| match status.parse() {
        Ok(Status::Sent) => "it is sent; `outbox republish` publishes such events again".to_owned(),
        _ => format!("it is {status} and not held up; the relay publishes it"),
    })
    .await?;
    outbox::hint();
    Ok(outcome)
}

/// Deletes failed events, which then never reach the other side.
///
/// # Errors
///
/// When the database fails. What was deleted until then stays deleted.
pub async fn discard(db: &DatabaseConnection, event_ids: &[String]) -> Result<Changed, DbErr> {
    let discard = |named: Condition| {
        let is_failed = Status::Failed.condition();
        Query::delete().from_table(TABLE).cond_where(named).and_where(is_failed).returning(event_id()).to_owned()
    };
    let why_not = |status: &str| format!("it is {status}, and only what can never be published is discarded");
    change_named(db, TABLE, event_ids, these, discard, why_not).await
}

fn these(event_ids: &[String]) -> Condition {
    Condition::all().add(Expr::col("event_id").is_in(event_ids.iter().map(String::as_str)))
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
) -> Result<Changed, DbErr> {
    let which = || filter.condition().add(is_held_up());
    let (mut after, mut outcome) = (i64::MIN, Changed::default());
    while let Some(ids) = next_ids(db, which(), after).await? {
        let update = due_now().and_where(Expr::col("id").is_in(ids.iter().copied())).cond_where(which()).to_owned();
        outcome.changed += db.execute(&update).await?.rows_affected();
        after = ids.last().copied().unwrap_or(i64::MAX);
        progress(outcome.changed);
    }
    outbox::hint();
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
            ("status", Status::Pending.into()),
            ("attempts", 0.into()),
            ("available_at", crate::clock::now().into()),
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
    let ids: Vec<i64> = ask::all(db, &select).await?;
    Ok(Some(ids).filter(|ids| !ids.is_empty()))
}

/// Makes a batch of the events that were sent `since` pending again, in their order: the first one, or the next one after an
/// id; how many, and the id that it came to. `None` if there are no more.
pub(crate) async fn unsend(
    db: &DatabaseConnection,
    since: DateTime<Utc>,
    resource: Option<&str>,
    after: Option<i64>,
) -> Result<Option<(u64, i64)>, DbErr> {
    let after = match after {
        Some(after) => after,
        None => first_sent_since(db, since, resource).await?.map_or(i64::MAX, |first| first - 1),
    };
    let Some(ids) = next_ids(db, was_sent_since(since, resource), after).await? else { return Ok(None) };
    let update =
        due_now().and_where(Expr::col("id").is_in(ids.iter().copied())).and_where(Status::Sent.condition()).to_owned();
    let changed = db.execute(&update).await?.rows_affected();
    Ok(ids.last().map(|last| (changed, *last)))
}

/// The first id of the events that were sent at this time or later. By a sum, so that databases look for it by the time: by
/// the ids, as for a batch, they would go through all that was sent before.
async fn first_sent_since(
    db: &DatabaseConnection,
    since: DateTime<Utc>,
    resource: Option<&str>,
) -> Result<Option<i64>, DbErr> {
    let first = Expr::cust("MIN(id + 0)");
    let which = was_sent_since(since, resource);
    let select = Query::select().expr_as(first, "first").from(TABLE).cond_where(which).to_owned();
    Ok(ask::one(db, &select).await?.flatten())
}

/// Deletes the events that were sent before this time, which can then not be published again; returns how many.
/// `progress` hears how many, now and then. As far as this process's clock is ahead of the database's, the time is set back.
///
/// # Errors
///
/// When the database fails. What was deleted until then stays deleted.
pub async fn prune(db: &DatabaseConnection, before: DateTime<Utc>, progress: impl FnMut(u64)) -> Result<u64, DbErr> {
    let before = by_the_clock_behind(db, before).await?;
    in_batches(|limit| outbox::prune(db, before, limit), progress).await
}
