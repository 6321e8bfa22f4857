//! The inbox: which events were settled, which failed or wait, and how often.

mod batch;
mod known;
mod moves;
mod status;
mod waiting;

use std::time::Duration;

pub(crate) use batch::claim_all;
use chrono::{DateTime, TimeDelta, Utc};
pub(crate) use known::{Kept, among, find, is_delete_tried_again, starts, unsettled};
pub(crate) use moves::{Counters, Move, make, make_giving_way, reopen, reopen_for};
use sea_orm::sea_query::{Condition, Expr, ExprTrait, OnConflict, Query};
use sea_orm::{ConnectionTrait, DbErr};
pub use status::Status;
pub(crate) use waiting::{Stored, any_open, awaited, due, parked, waiting_at, wake};
use waiting::{is_due, waits_since};

use crate::ask;
use crate::message::Message;

pub(crate) const TABLE: &str = "inbox_events";

pub(crate) const KEY: [&str; 2] = ["source_app", "event_id"];

/// What is done, and what waits, in the words of the partial indexes: literals, which serve only a condition that is known when
/// it is planned.
pub(crate) const SETTLED: &str = "status IN ('processed', 'dead')";
pub(crate) const OPEN: &str = "status IN ('parked', 'failed')";

/// How often a message may begin without an outcome before it is taken for one that kills its process.
pub(crate) const MAX_STARTS: u32 = 5;

/// How long after its time an event is taken up from the inbox that the server has not brought again: it may have lost
/// its store.
pub(crate) const OVERDUE: TimeDelta = TimeDelta::minutes(10);

/// How far apart the clocks of processes may be that consume side by side.
const CLOCKS_APART: TimeDelta = TimeDelta::minutes(5);

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
    if batch::insert_values(txn, &[message]).await? == 1 {
        return Ok(Claim::New);
    }
    let select = Query::select().column("status").from(TABLE).cond_where(is(message)).lock_exclusive().to_owned();
    Ok(match ask::one::<String>(txn, &select).await?.and_then(|status| status.parse().ok()) {
        Some(Status::Processed | Status::Dead) => Claim::Settled,
        _ => Claim::Open,
    })
}

/// Marks an event that this transaction has claimed as processed.
pub(crate) async fn processed<C: ConnectionTrait>(txn: &C, message: &Message) -> Result<(), DbErr> {
    txn.execute(&Move::Process.update().cond_where(is(message)).to_owned()).await.map(drop)
}

/// Notes that an event had an outcome, which the server brings again, if it has a row.
pub(crate) async fn had_outcome<C: ConnectionTrait>(db: &C, message: &Message) -> Result<(), DbErr> {
    let update = Query::update().table(TABLE).value("starts", 0).cond_where(is(message)).to_owned();
    db.execute(&update).await.map(drop)
}

/// Deletes up to `limit` settled events older than `before`; returns how many.
pub(crate) async fn prune<C: ConnectionTrait>(db: &C, before: DateTime<Utc>, limit: u64) -> Result<u64, DbErr> {
    let oldest = Query::select()
        .columns(KEY)
        .from(TABLE)
        .and_where(Expr::cust(SETTLED))
        .and_where(Expr::col("processed_at").lt(before))
        .limit(limit)
        .to_owned();
    let key = Expr::tuple([Expr::col("source_app"), Expr::col("event_id")]);
    let delete = Query::delete()
        .from_table(TABLE)
        .and_where(key.in_subquery(oldest))
        // One may have been opened again by the time that it is its turn.
        .and_where(Expr::col("status").is_in(Status::SETTLED))
        .to_owned();
    Ok(db.execute(&delete).await?.rows_affected())
}

fn is(message: &Message) -> Condition {
    has_key(&message.source_app, &message.event_id)
}

pub(crate) fn has_key(source_app: &str, event_id: &str) -> Condition {
    Condition::all().add(Expr::col("source_app").eq(source_app)).add(Expr::col("event_id").eq(event_id))
}

/// What becomes of an INSERT of a row that is there: nothing.
fn unless_there() -> OnConflict {
    OnConflict::columns(KEY).do_nothing().to_owned()
}
