//! The inbox: which events were settled, which failed or wait, and how often.

mod batch;
pub mod operate;
pub(crate) mod replay;
mod waiting;

use std::time::Duration;

pub(crate) use batch::claim_all;
use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::sea_query::{Condition, Expr, ExprTrait, InsertStatement, OnConflict, Query};
use sea_orm::{ConnectionTrait, DbErr, FromQueryResult};
pub(crate) use waiting::{Stored, any_waiting, awaited, due, in_conflict, parked, wake};
use waiting::{is_due, waits_since};

use crate::causes::storable;
use crate::message::Message;
use crate::outcome::Reason;

const TABLE: &str = "inbox_events";

/// How often a message may begin without an outcome before it is taken for one that kills its process.
pub(crate) const MAX_STARTS: u32 = 5;

/// How long after its time an event is taken up from the inbox that the server has not brought again: it may have lost
/// its store.
const OVERDUE: TimeDelta = TimeDelta::minutes(10);

/// The longest that an event is parked before it is tried again, but for a back-off list that is longer.
pub(crate) const LONGEST_PARKING: Duration = Duration::from_secs(60);

/// Whether an event is still to be tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// It is not known yet; its row says processed already, which comes true with the commit.
    New,
    /// It has a row from an earlier failure.
    Open,
    /// It was tried, with an end.
    Settled,
}

/// Takes an event for this transaction. A concurrent duplicate waits here until the transaction ends, and then finds
/// the event settled.
pub(crate) async fn claim<C: ConnectionTrait>(txn: &C, message: &Message) -> Result<Claim, DbErr> {
    if txn.execute(&insert(message, "processed")).await?.rows_affected() == 1 {
        return Ok(Claim::New);
    }
    let select = Query::select().column("status").from(TABLE).cond_where(is(message)).lock_exclusive().to_owned();
    let status = txn.query_one(&select).await?.map(|row| row.try_get::<String>("", "status")).transpose()?;
    Ok(match status.as_deref() {
        Some("processed" | "dead") => Claim::Settled,
        _ => Claim::Open,
    })
}

/// Marks an event that this transaction has claimed as processed; its payload is no longer needed.
pub(crate) async fn processed<C: ConnectionTrait>(txn: &C, message: &Message) -> Result<(), DbErr> {
    let update = Query::update()
        .table(TABLE)
        .values([
            ("status", "processed".into()),
            ("processed_at", crate::clock::now().into()),
            ("payload", Expr::null()),
            ("reason", Expr::null()),
            ("waits_for", Expr::null()),
            ("available_at", Expr::null()),
        ])
        .cond_where(is(message))
        .to_owned();
    txn.execute(&update).await.map(drop)
}

/// What an event has been through.
#[derive(Clone, Debug, PartialEq, Eq, FromQueryResult)]
pub(crate) struct Counters {
    /// How often it began since the last outcome.
    pub(crate) starts: i32,
    /// How often it failed.
    pub(crate) attempts: i32,
    /// What for, the last time.
    pub(crate) last_error: Option<String>,
}

/// Commits that an event is about to be tried, with all that is needed to bury it; `None` if it is settled.
pub(crate) async fn start<C: ConnectionTrait>(db: &C, message: &Message) -> Result<Option<Counters>, DbErr> {
    transition(db, message, [("starts", Expr::col("starts").add(1))]).await
}

/// As [`start`], for an event that no server keeps from being tried twice at once: it is this process's for `hold`, and
/// then, if the process has died, the timer's again. `None` if it is settled or somebody else's for now. No event waits
/// for longer than `longest`.
pub(crate) async fn take<C: ConnectionTrait>(
    db: &C,
    message: &Message,
    hold: Duration,
    longest: Duration,
) -> Result<Option<Counters>, DbErr> {
    let now = crate::clock::now();
    let nobody_has_it = Condition::any().add(Expr::col("status").ne("parked")).add(is_due(longest));
    let changes = [
        ("starts", Expr::col("starts").add(1)),
        ("status", "parked".into()),
        ("reason", Expr::col("reason").if_null(Reason::DeliveriesSpent.as_str())),
        ("waits_for", Expr::null()),
        ("available_at", (now + hold).into()),
    ];
    transition_where(db, message, changes, nobody_has_it).await
}

/// Counts a failed attempt; `None` if the event is settled. The server has `longest` to bring it again.
pub(crate) async fn fail<C: ConnectionTrait>(
    db: &C,
    message: &Message,
    error: &str,
    longest: Duration,
) -> Result<Option<Counters>, DbErr> {
    let now = crate::clock::now();
    let changes = [
        ("status", "failed".into()),
        ("starts", 0.into()),
        ("attempts", Expr::col("attempts").add(1)),
        ("last_error", storable(error).into()),
        ("reason", Expr::null()),
        ("failed_at", now.into()),
        ("available_at", (now + OVERDUE + longest).into()),
    ];
    transition(db, message, changes).await
}

/// Why an event is parked, until when, and for what.
pub(crate) struct Parking<'a> {
    pub(crate) reason: Reason,
    pub(crate) waits_for: Option<String>,
    pub(crate) retry_after: Duration,
    pub(crate) error: &'a str,
}

impl Parking<'_> {
    /// What parking an event changes, whatever becomes of its counters.
    fn changes(&self) -> [(&'static str, Expr); 4] {
        [
            ("status", "parked".into()),
            ("reason", self.reason.as_str().into()),
            ("available_at", (crate::clock::now() + self.retry_after).into()),
            ("last_error", storable(self.error).into()),
        ]
    }
}

/// Parks an event that is not settled.
pub(crate) async fn park<C: ConnectionTrait>(db: &C, message: &Message, parking: Parking<'_>) -> Result<(), DbErr> {
    let changes = parking.changes().into_iter();
    let begins = parking.reason.is_waiting().then(|| ("received_at", waits_since()));
    let outcome = [("starts", 0.into()), ("waits_for", parking.waits_for.into())];
    transition(db, message, changes.chain(outcome).chain(begins)).await.map(drop)
}

/// Keeps an event whose dead letter was not taken for another try at that. What its counters are the reason for is not
/// begun again; any other is, and had an outcome.
pub(crate) async fn postpone<C: ConnectionTrait>(db: &C, message: &Message, parking: Parking<'_>) -> Result<(), DbErr> {
    let outcome = (!parking.reason.is_counted()).then_some(("starts", 0.into()));
    transition(db, message, parking.changes().into_iter().chain(outcome)).await.map(drop)
}

/// Notes that an event had an outcome, which the server brings again, if it has a row.
pub(crate) async fn had_outcome<C: ConnectionTrait>(db: &C, message: &Message) -> Result<(), DbErr> {
    let update = Query::update().table(TABLE).value("starts", 0).cond_where(is(message)).to_owned();
    db.execute(&update).await.map(drop)
}

/// Marks an event as dead. Its payload stays until it is pruned, since the DLQ may have had no room for it.
pub(crate) async fn bury<C: ConnectionTrait>(
    db: &C,
    message: &Message,
    reason: Reason,
    error: &str,
) -> Result<(), DbErr> {
    let now = crate::clock::now();
    let changes = [
        ("status", "dead".into()),
        ("reason", reason.as_str().into()),
        ("last_error", storable(error).into()),
        ("failed_at", now.into()),
        ("processed_at", now.into()),
        ("available_at", Expr::null()),
        ("waits_for", Expr::null()),
    ];
    transition(db, message, changes).await.map(drop)
}

/// Changes the row of an event, which is made first if there is none; `None` if the event is settled. A crash between
/// the two statements leaves a failed row without attempts, which is true.
async fn transition<C: ConnectionTrait>(
    db: &C,
    message: &Message,
    changes: impl IntoIterator<Item = (&'static str, Expr)>,
) -> Result<Option<Counters>, DbErr> {
    transition_where(db, message, changes, Condition::all()).await
}

async fn transition_where<C: ConnectionTrait>(
    db: &C,
    message: &Message,
    changes: impl IntoIterator<Item = (&'static str, Expr)>,
    which: Condition,
) -> Result<Option<Counters>, DbErr> {
    db.execute(&insert(message, "failed")).await?;
    let update = Query::update()
        .table(TABLE)
        .values(changes)
        // The same event may be in the stream again, replayed or republished.
        .value("stream_seq", i64::try_from(message.stream_seq).ok())
        .cond_where(is(message))
        .and_where(Expr::col("status").is_not_in(["processed", "dead"]))
        .cond_where(which)
        .returning(Query::returning().columns(["starts", "attempts", "last_error"]))
        .to_owned();
    db.query_one(&update).await?.map(|row| Counters::from_query_result(&row, "")).transpose()
}

/// How often this event had begun without an outcome.
pub(crate) async fn starts<C: ConnectionTrait>(db: &C, message: &Message) -> Result<i32, DbErr> {
    let select = Query::select().column("starts").from(TABLE).cond_where(is(message)).to_owned();
    Ok(db.query_one(&select).await?.map(|row| row.try_get("", "starts")).transpose()?.unwrap_or(0))
}

/// Deletes up to `limit` settled events older than `before`; returns how many.
pub(crate) async fn prune<C: ConnectionTrait>(db: &C, before: DateTime<Utc>, limit: u64) -> Result<u64, DbErr> {
    let oldest = Query::select()
        .columns(["source_app", "event_id"])
        .from(TABLE)
        // In the words of the partial index.
        .and_where(Expr::cust("status IN ('processed', 'dead')"))
        .and_where(Expr::col("processed_at").lt(before))
        .limit(limit)
        .to_owned();
    let key = Expr::tuple([Expr::col("source_app"), Expr::col("event_id")]);
    let delete = Query::delete()
        .from_table(TABLE)
        .and_where(key.in_subquery(oldest))
        // One may have been opened again by the time that it is its turn.
        .and_where(Expr::col("status").is_in(["processed", "dead"]))
        .to_owned();
    Ok(db.execute(&delete).await?.rows_affected())
}

fn is(message: &Message) -> Condition {
    has_key(&message.source_app, &message.event_id)
}

fn has_key(source_app: &str, event_id: &str) -> Condition {
    Condition::all().add(Expr::col("source_app").eq(source_app)).add(Expr::col("event_id").eq(event_id))
}

/// Makes the row of a message unless it is there. A processed event needs no payload.
fn insert(message: &Message, status: &str) -> InsertStatement {
    let now = crate::clock::now();
    let processed = status == "processed";
    let mut insert = Query::insert();
    insert.into_table(TABLE).columns([
        "source_app",
        "event_id",
        "resource_type",
        "resource_id",
        "event_type",
        "subject",
        "status",
        "payload",
        "headers",
        "stream_seq",
        "received_at",
        "processed_at",
        "available_at",
    ]);
    let (resource_type, resource_id, event_type) = message.labels();
    let payload = (!processed).then(|| message.body.clone());
    let headers = (!processed).then(|| serde_json::to_string(&message.headers).unwrap_or_default());
    insert.values_panic([
        message.source_app.as_str().into(),
        message.event_id.as_str().into(),
        resource_type.into(),
        resource_id.into(),
        event_type.into(),
        message.subject.as_str().into(),
        status.into(),
        payload.into(),
        headers.into(),
        i64::try_from(message.stream_seq).ok().into(),
        now.into(),
        processed.then_some(now).into(),
        (!processed).then_some(now + OVERDUE).into(),
    ]);
    insert.on_conflict(OnConflict::columns(["source_app", "event_id"]).do_nothing().to_owned()).to_owned()
}
