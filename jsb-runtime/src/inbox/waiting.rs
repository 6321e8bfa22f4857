//! The events that wait in the inbox, read back.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sea_orm::sea_query::{Condition, Expr, ExprTrait, LockBehavior, LockType, Order, Query};
use sea_orm::{ConnectionTrait, DbErr, QueryResult};

use super::known::headers_in;
use super::{CLOCKS_APART, KEY, LONGEST_PARKING, OPEN, OVERDUE, Status, TABLE, has_key, is};
use crate::ask;
use crate::config::MAX_BATCH_BYTES;
use crate::event;
use crate::message::Message;
use crate::reason::Reason;

/// An event that waits in the inbox.
pub(crate) struct Stored {
    pub(crate) message: Message,
    /// The row that it waits for: its parent, or the holder of a unique value of its.
    pub(crate) waits_for: Option<String>,
    /// When it had died before, if it was retried since.
    pub(crate) died_before: Option<DateTime<Utc>>,
    /// Since when it waits for what it lacks; none, if it failed for another reason.
    pub(crate) waits_since: Option<DateTime<Utc>>,
    /// How often it had begun without an outcome when it was read.
    starts: i32,
}

impl Stored {
    /// Commits that it begins once more, together with others; how often it has by now. That it was parked anew since it was read is
    /// no outcome of theirs.
    pub(crate) async fn begin_together<C: ConnectionTrait>(&self, db: &C) -> Result<u32, DbErr> {
        let starts = self.starts + 1;
        let update = Query::update().table(TABLE).value("starts", starts).cond_where(is(&self.message)).to_owned();
        db.execute(&update).await?;
        Ok(starts.unsigned_abs())
    }
}

/// The events whose time came first, of them those that began least often first: one that kills its process must not keep the
/// others from being tried, nor they it.
pub(crate) async fn due<C: ConnectionTrait>(db: &C, longest: Duration, limit: u64) -> Result<Vec<Stored>, DbErr> {
    let mut due = stored(db, Condition::all().add(is_open()).add(is_due(longest)), limit).await?;
    due.sort_by_key(|stored| stored.starts);
    Ok(due)
}

/// Whether the time of an event has come. One that lies further ahead than any event waits was set by a clock that was
/// ahead, by more than those of processes that work side by side differ, and must not be waited for.
pub(super) fn is_due(longest: Duration) -> Condition {
    let (now, time) = (crate::clock::now(), || Expr::col("available_at"));
    let latest = now + CLOCKS_APART;
    Condition::any()
        .add(time().lte(now))
        .add(time().gt(latest + OVERDUE + longest))
        .add(is_parked().and(time().gt(latest + longest.max(LONGEST_PARKING))))
}

/// Whether any event waits.
pub(crate) async fn any_open<C: ConnectionTrait>(db: &C) -> Result<bool, DbErr> {
    ask::any(db, TABLE, Condition::all().add(is_open())).await
}

/// How many events are parked.
pub(crate) async fn parked<C: ConnectionTrait>(db: &C) -> Result<u64, DbErr> {
    ask::count(db, TABLE, Status::Parked.condition()).await
}

/// The parked event that speaks of this row and waits for another one.
pub(crate) async fn waiting_at<C: ConnectionTrait>(db: &C, row: &str) -> Result<Option<Stored>, DbErr> {
    let (resource, id) = event::named_row(row);
    let about = Condition::all()
        .add(is_parked())
        .add(Expr::col("resource_type").eq(resource))
        .add(Expr::col("resource_id").eq(id))
        .add(Expr::col("waits_for").is_not_null());
    Ok(stored(db, about, 1).await?.pop())
}

/// Those of these rows that a parked event waits for.
pub(crate) async fn awaited<C: ConnectionTrait>(db: &C, rows: &[String]) -> Result<Vec<String>, DbErr> {
    let select = Query::select()
        .distinct()
        .column("waits_for")
        .from(TABLE)
        .and_where(Expr::col("waits_for").is_in(rows))
        .and_where(is_parked())
        .to_owned();
    ask::all(db, &select).await
}

/// Makes the parked events that wait for this row due now, and gives them back.
pub(crate) async fn wake<C: ConnectionTrait>(db: &C, row: &str, limit: u64) -> Result<Vec<Stored>, DbErr> {
    let waiting = || Condition::all().add(Expr::col("waits_for").eq(row)).add(is_parked());
    let update =
        Query::update().table(TABLE).value("available_at", crate::clock::now()).cond_where(waiting()).to_owned();
    db.execute(&update).await?;
    stored(db, waiting(), limit).await
}

/// Up to `limit` of these events, as many as fit in memory but at least one.
async fn stored<C: ConnectionTrait>(db: &C, which: Condition, limit: u64) -> Result<Vec<Stored>, DbErr> {
    let first = |which: Condition| {
        Query::select()
            .from(TABLE)
            .cond_where(which)
            .order_by("available_at", Order::Asc)
            .limit(limit)
            // What is being worked on is not for us.
            .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
            .to_owned()
    };
    // The length of a payload is known without reading it.
    let mut sizes = first(which.clone());
    sizes.columns(KEY).expr_as(Expr::cust("coalesce(length(payload), 0)"), "bytes");
    let (mut fitting, mut bytes) = (Condition::any(), 0);
    for row in db.query_all(&sizes).await? {
        if bytes >= MAX_BATCH_BYTES {
            break;
        }
        let (source, id): (String, String) = (row.try_get("", "source_app")?, row.try_get("", "event_id")?);
        fitting = fitting.add(has_key(&source, &id));
        bytes += usize::try_from(row.try_get::<i32>("", "bytes")?).unwrap_or(0);
    }
    if fitting.is_empty() {
        return Ok(Vec::new());
    }
    let mut select = first(which.add(fitting));
    select.columns([
        "subject",
        "headers",
        "payload",
        "stream_seq",
        "waits_for",
        "reason",
        "received_at",
        "processed_at",
        "starts",
    ]);
    db.query_all(&select).await?.iter().map(read).collect()
}

fn read(row: &QueryResult) -> Result<Stored, DbErr> {
    let body: Option<Vec<u8>> = row.try_get("", "payload")?;
    let stream_seq: Option<i64> = row.try_get("", "stream_seq")?;
    let seq = stream_seq.and_then(|seq| seq.try_into().ok()).unwrap_or(0);
    let reason: Option<String> = row.try_get("", "reason")?;
    let has_waited = reason.and_then(|reason| reason.parse::<Reason>().ok()).is_some_and(Reason::is_waiting);
    let received_at = row.try_get("", "received_at")?;
    Ok(Stored {
        message: Message::read(row.try_get("", "subject")?, headers_in(row)?, body.unwrap_or_default(), seq),
        waits_for: row.try_get("", "waits_for")?,
        died_before: row.try_get("", "processed_at")?,
        waits_since: has_waited.then_some(received_at),
        starts: row.try_get("", "starts")?,
    })
}

/// Since when an event waits that does from now on: it is counted from when it began to, and not from a failure of another kind
/// or from its death.
pub(super) fn waits_since() -> Expr {
    let waits = is_parked().and(Expr::col("reason").is_in(Reason::WAITING));
    Expr::case(waits, Expr::col("received_at")).finally(crate::clock::now()).into()
}

/// Parked, or failed and left to a server that may have lost it.
fn is_open() -> Expr {
    Expr::cust(OPEN)
}

fn is_parked() -> Expr {
    Status::Parked.is()
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use sea_orm::Database;

    use super::*;

    const LONGEST: Duration = Duration::from_secs(60);

    /// Whether it is due what a process put off by so long, whose clock was ahead by `skew`.
    async fn is_due_that_was_put_off(status: &str, by: TimeDelta, skew: TimeDelta) -> bool {
        let db = Database::connect("sqlite::memory:").await.expect("a database");
        db.execute_unprepared("CREATE TABLE inbox_events (status text, available_at text)").await.expect("a table");
        let insert = Query::insert()
            .into_table(TABLE)
            .columns(["status", "available_at"])
            .values_panic([status.into(), (crate::clock::now() + skew + by).into()])
            .to_owned();
        db.execute(&insert).await.expect("a row");
        ask::count(&db, TABLE, is_due(LONGEST)).await == Ok(1)
    }

    #[tokio::test]
    async fn a_clock_that_is_a_little_ahead_puts_nothing_off_for_longer_than_events_wait() {
        let longest = TimeDelta::from_std(LONGEST).expect("a minute");
        for (status, by) in [("failed", OVERDUE + longest), ("parked", longest)] {
            assert!(!is_due_that_was_put_off(status, by, TimeDelta::seconds(2)).await, "{status}");
            assert!(is_due_that_was_put_off(status, by, TimeDelta::hours(1)).await, "{status}");
            assert!(is_due_that_was_put_off(status, TimeDelta::zero(), TimeDelta::seconds(-1)).await, "{status}");
        }
    }
}
