//! The outbox: events are recorded with the row they speak of, read in order, and marked once JetStream has them.

mod status;
mod unsent;

use std::sync::LazyLock;
use std::time::Duration;

use chrono::{DateTime, Utc};
use sea_orm::sea_query::{Expr, ExprTrait, InsertStatement, Order, Query, Value};
use sea_orm::{Condition, ConnectionTrait, DbBackend, DbErr, Statement};
pub use status::Status;
use tokio::sync::watch;
pub(crate) use unsent::{Batch, Mark, Unsent, next_batch};

use crate::dialect;
use crate::event::NewEvent;

pub(crate) const TABLE: &str = "outbox_events";

/// The lease of the one process that relays.
pub(crate) const LEASE: &str = "relay";

/// Wakes the relays of this process. It is a hint only, so that it may be shared by every bridge of the process.
static RECORDED: LazyLock<watch::Sender<()>> = LazyLock::new(watch::Sender::default);

/// Says that there may be something to relay.
pub(crate) fn hint() {
    RECORDED.send_replace(());
}

/// Listens to hints; subscribe before looking for work, so that none is missed.
pub(crate) fn hints() -> watch::Receiver<()> {
    RECORDED.subscribe()
}

/// Records an event in the transaction of `db`. For an entity's event this comes after the row's own write: the id is
/// then drawn under the row's lock, and the ids of one row follow its commits.
pub(crate) async fn record<C: ConnectionTrait>(db: &C, event: &NewEvent) -> Result<(), DbErr> {
    let kind = [event.resource_type.as_str(), event.event_type.as_str()];
    let (id, payload) = (event.resource_id.as_str().into(), event.payload.to_string().into());
    let row = row_of(values_of(event)?.map(Expr::val), kind, id, payload, crate::clock::now().into());
    let mut insert = Query::insert();
    insert.into_table(TABLE).columns(COLUMNS).values_panic(row);
    db.execute(&insert).await?;
    hint();
    Ok(())
}

/// Records, as part of a statement, the event of the row that another part of it, `row`, has written: what is [`values_of`]
/// the event, what its kind is known by, and an id and a payload that are made of the row.
pub(crate) fn record_from(
    row: &'static str,
    values: [Expr; 3],
    kind: [&'static str; 2],
    id: Expr,
    payload: Expr,
) -> Result<InsertStatement, DbErr> {
    let now = values[2].clone();
    let values = Query::select().exprs(row_of(values, kind, id, payload, now)).from(row).to_owned();
    let mut insert = Query::insert();
    insert.into_table(TABLE).columns(COLUMNS);
    insert.select_from(values).map_err(|error| DbErr::Custom(error.to_string()))?;
    Ok(insert)
}

const COLUMNS: [&str; 10] = [
    "event_id",
    "resource_type",
    "resource_id",
    "event_type",
    "payload",
    "headers",
    "occurred_at",
    "available_at",
    "created_at",
    "status",
];

/// A new row in the order of its columns: what is [`values_of`] the event, its resource and type, the id and the payload.
fn row_of(
    [event_id, headers, occurred_at]: [Expr; 3],
    [resource_type, event_type]: [&str; 2],
    id: Expr,
    payload: Expr,
    now: Expr,
) -> [Expr; COLUMNS.len()] {
    let (resource_type, event_type, status) = (resource_type.into(), event_type.into(), Status::Pending.into());
    [event_id, resource_type, id, event_type, payload, headers, occurred_at, now.clone(), now, status]
}

/// What is new in each event, whatever it speaks of: its id, its headers, and when it occurred.
pub(crate) fn values_of(event: &NewEvent) -> Result<[Value; 3], DbErr> {
    let headers = serde_json::to_string(&event.trace.headers()).map_err(|error| DbErr::Json(error.to_string()))?;
    Ok([event.event_id.as_str().into(), headers.into(), event.occurred_at.into()])
}

/// Whether any row waits.
pub(crate) async fn any_pending<C: ConnectionTrait>(db: &C) -> Result<bool, DbErr> {
    // In order, and the limit a question, for the same reason as that of a batch.
    let sql = "SELECT 1 FROM outbox_events WHERE status = 'pending' ORDER BY id LIMIT (SELECT 1)";
    Ok(db.query_one_raw(Statement::from_string(db.get_database_backend(), sql)).await?.is_some())
}

/// A literal rather than a bound value, since a partial index serves only a condition that is known when it is planned.
pub(crate) const IS_PENDING: &str = "status = 'pending'";

/// Marks events that JetStream has acknowledged, while the relay's lease is this holder's. Under another one an operator may have
/// had them published again, which a mark would undo; they go out again under the same message ids, as after a crash. Says whether
/// it marked any.
pub(crate) async fn mark_sent<C: ConnectionTrait>(db: &C, marks: &[Mark], holder: &str) -> Result<bool, DbErr> {
    let backend = db.get_database_backend();
    let these = dialect::of_pairs(["id", "event_id"], ["$2", "$3"], backend);
    let is_held = "EXISTS (SELECT 1 FROM sync_leases WHERE name = $4 AND holder = $5)";
    let sql = format!("UPDATE {TABLE} SET status = 'sent', sent_at = $1, last_error = NULL {these} AND {is_held}");
    let [ids, event_ids] = listed(marks, backend);
    let values = [crate::clock::now().into(), ids, event_ids, LEASE.into(), holder.into()];
    let marked = db.execute_raw(Statement::from_sql_and_values(backend, sql, values)).await?;
    Ok(marked.rows_affected() > 0)
}

/// Marks an event that can never be published as it is.
pub(crate) async fn mark_failed<C: ConnectionTrait>(db: &C, mark: &Mark, error: &str) -> Result<(), DbErr> {
    let update = Query::update()
        .table(TABLE)
        .values([
            ("status", Status::Failed.into()),
            ("attempts", Expr::col("attempts").add(1)),
            ("last_error", error.into()),
        ])
        .cond_where(is(mark))
        .to_owned();
    db.execute(&update).await.map(drop)
}

/// Gives an event that is too large a payload with which it is not.
pub(crate) async fn shorten<C: ConnectionTrait>(db: &C, mark: &Mark, payload: &str) -> Result<(), DbErr> {
    let update = Query::update().table(TABLE).value("payload", payload).cond_where(is(mark)).to_owned();
    db.execute(&update).await.map(drop)
}

/// Delays events that the server refused for now.
pub(crate) async fn delay<C: ConnectionTrait>(db: &C, marks: &[Mark], by: Duration, error: &str) -> Result<(), DbErr> {
    let backend = db.get_database_backend();
    let these = dialect::of_pairs(["id", "event_id"], ["$3", "$4"], backend);
    let sql = format!("UPDATE {TABLE} SET available_at = $1, attempts = attempts + 1, last_error = $2 {these}");
    let [ids, event_ids] = listed(marks, backend);
    let values = [(crate::clock::now() + by).into(), error.into(), ids, event_ids];
    db.execute_raw(Statement::from_sql_and_values(backend, sql, values)).await.map(drop)
}

fn is(mark: &Mark) -> Condition {
    Condition::all().add(Expr::col("id").eq(mark.id)).add(Expr::col("event_id").eq(mark.event_id.as_str()))
}

fn listed(marks: &[Mark], backend: DbBackend) -> [Value; 2] {
    let event_ids = marks.iter().map(|mark| mark.event_id.clone()).collect();
    [dialect::list(marks.iter().map(|mark| mark.id).collect(), backend), dialect::list::<String>(event_ids, backend)]
}

/// Deletes up to `limit` sent rows older than `before`; returns how many.
pub(crate) async fn prune<C: ConnectionTrait>(db: &C, before: DateTime<Utc>, limit: u64) -> Result<u64, DbErr> {
    let oldest = Query::select()
        .column("id")
        .from(TABLE)
        .and_where(Status::Sent.condition())
        .and_where(Expr::col("sent_at").lt(before))
        .order_by("sent_at", Order::Asc)
        .limit(limit)
        .to_owned();
    // Some may be pending again by the time that it is their turn.
    let delete = Query::delete()
        .from_table(TABLE)
        .and_where(Expr::col("id").in_subquery(oldest))
        .and_where(Status::Sent.condition())
        .to_owned();
    Ok(db.execute(&delete).await?.rows_affected())
}
