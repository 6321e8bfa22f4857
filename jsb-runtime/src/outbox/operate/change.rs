//! What an operator changes in the outbox: each change is one guarded update, so that it may race with the relay.

use chrono::{DateTime, Utc};
use sea_orm::sea_query::{Condition, Expr, ExprTrait, Order, Query, UpdateStatement};
use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr};

use super::look::{COLUMNS, Event, first_sent_since, read};
use super::{Filter, Status, TABLE, was_sent_since};
use crate::operate::{BATCH, Refused, Retried, in_batches};
use crate::outbox;

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
    outbox::hint();
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

/// Deletes the events that were sent before this time, which can then not be published again; returns how many.
/// `progress` hears how many, now and then.
///
/// # Errors
///
/// When the database fails. What was deleted until then stays deleted.
pub async fn prune(db: &DatabaseConnection, before: DateTime<Utc>, progress: impl FnMut(u64)) -> Result<u64, DbErr> {
    in_batches(|limit| outbox::prune(db, before, limit), progress).await
}
