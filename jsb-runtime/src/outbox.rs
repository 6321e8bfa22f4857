//! The outbox: events are recorded with the row they speak of, claimed in order, and marked once JetStream has them.

pub mod operate;

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

use chrono::{DateTime, Utc};
use sea_orm::sea_query::{
    Expr, ExprTrait, Func, InsertStatement, Order, Query, SelectStatement, Value, WindowStatement,
};
use sea_orm::{ConnectionTrait, DbErr, FromQueryResult};
use tokio::sync::watch;

use crate::config::MAX_BATCH_BYTES;
use crate::event::NewEvent;

const TABLE: &str = "outbox_events";

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
    let (id, payload) = (event.resource_id.as_str().into(), event.payload.to_string().into());
    let mut insert = Query::insert();
    insert.into_table(TABLE).columns(COLUMNS).values_panic(row_of(said_of(event)?.map(Expr::val), id, payload));
    db.execute(&insert).await?;
    hint();
    Ok(())
}

/// Records, as part of a statement, the event of the row that another part of it, `row`, has written: what is [`said_of`]
/// the event, and an id and a payload that are made of the row.
pub(crate) fn record_from(
    row: &'static str,
    said: [Expr; SAID],
    id: Expr,
    payload: Expr,
) -> Result<InsertStatement, DbErr> {
    let values = Query::select().exprs(row_of(said, id, payload)).from(row).to_owned();
    let mut insert = Query::insert();
    insert.into_table(TABLE).columns(COLUMNS);
    insert.select_from(values).map_err(|error| DbErr::Custom(error.to_string()))?;
    Ok(insert)
}

const COLUMNS: [&str; 10] = [
    "event_id",
    "resource_type",
    "event_type",
    "headers",
    "occurred_at",
    "available_at",
    "created_at",
    "status",
    "resource_id",
    "payload",
];

/// How many values [`said_of`] gives: those of the first columns.
pub(crate) const SAID: usize = 7;

/// What an event's row holds besides what is made of the entity's row.
pub(crate) fn said_of(event: &NewEvent) -> Result<[Value; SAID], DbErr> {
    let now = crate::clock::now();
    let headers = serde_json::to_string(&event.trace.headers()).map_err(|error| DbErr::Json(error.to_string()))?;
    Ok([
        event.event_id.as_str().into(),
        event.resource_type.as_str().into(),
        event.event_type.as_str().into(),
        headers.into(),
        event.occurred_at.into(),
        now.into(),
        now.into(),
    ])
}

fn row_of(said: [Expr; SAID], id: Expr, payload: Expr) -> impl Iterator<Item = Expr> {
    said.into_iter().chain(["pending".into(), id, payload])
}

/// A row that waits to be published.
#[derive(Debug, FromQueryResult)]
pub(crate) struct Pending {
    pub(crate) id: i64,
    pub(crate) event_id: String,
    pub(crate) resource_type: String,
    pub(crate) resource_id: String,
    pub(crate) event_type: String,
    pub(crate) payload: String,
    pub(crate) headers: String,
    pub(crate) occurred_at: DateTime<Utc>,
    pub(crate) attempts: i32,
    available_at: DateTime<Utc>,
}

impl Pending {
    pub(crate) fn headers(&self) -> BTreeMap<String, String> {
        serde_json::from_str(&self.headers).unwrap_or_default()
    }

    pub(crate) fn row(&self) -> (&str, &str) {
        (&self.resource_type, &self.resource_id)
    }

    /// Whether it waits after a failure of its own, for no longer than `longest`. Before one, `available_at` is by the clock
    /// of the process that saved; a time that lies further ahead than any delay was set by a clock that was ahead.
    pub(crate) fn is_delayed(&self, now: DateTime<Utc>, longest: Duration) -> bool {
        self.attempts > 0 && self.available_at > now && self.available_at <= now + longest
    }
}

/// Whether any row waits.
pub(crate) async fn any_pending<C: ConnectionTrait>(db: &C) -> Result<bool, DbErr> {
    let select = Query::select().expr(Expr::val(1)).from(TABLE).and_where(is_pending()).limit(1).to_owned();
    Ok(db.query_one(&select).await?.is_some())
}

/// The oldest rows that wait, as many as fit in memory but at least one. By status, not by a cursor over ids: a
/// transaction that drew its id early may commit late.
pub(crate) async fn pending<C: ConnectionTrait>(db: &C, limit: usize) -> Result<Vec<Pending>, DbErr> {
    let select = Query::select()
        .columns([
            "id",
            "event_id",
            "resource_type",
            "resource_id",
            "event_type",
            "payload",
            "headers",
            "occurred_at",
            "attempts",
            "available_at",
        ])
        .from(TABLE)
        .and_where(Expr::col("id").in_subquery(fitting(limit)))
        .order_by("id", Order::Asc)
        .to_owned();
    db.query_all(&select).await?.iter().map(|row| Pending::from_query_result(row, "")).collect()
}

/// The ids of the oldest rows that wait, up to the one that makes the batch full.
fn fitting(limit: usize) -> SelectStatement {
    let (bytes, with_older) = (|| Expr::col("bytes"), || Expr::col("with_older"));
    let oldest = Query::select()
        .column("id")
        // The length alone: neither database reads a long text for it.
        .expr_as(Func::cust("octet_length").arg(Expr::col("payload")), "bytes")
        .from(TABLE)
        .and_where(is_pending())
        .order_by("id", Order::Asc)
        .limit(limit as u64)
        .to_owned();
    let sized = Query::select()
        .columns(["id", "bytes"])
        .expr_window_as(bytes().sum(), WindowStatement::new().order_by("id", Order::Asc).to_owned(), "with_older")
        .from_subquery(oldest, "oldest")
        .to_owned();
    Query::select()
        .column("id")
        .from_subquery(sized, "sized")
        .and_where(with_older().sub(bytes()).lt(MAX_BATCH_BYTES as i64))
        .to_owned()
}

/// A literal rather than a bound value, since a partial index serves only a condition that is known when it is planned.
fn is_pending() -> Expr {
    Expr::cust("status = 'pending'")
}

/// Marks rows that JetStream has acknowledged.
pub(crate) async fn mark_sent<C: ConnectionTrait>(db: &C, ids: &[i64]) -> Result<(), DbErr> {
    if ids.is_empty() {
        return Ok(());
    }
    let update = Query::update()
        .table(TABLE)
        .values([("status", "sent".into()), ("sent_at", crate::clock::now().into()), ("last_error", Expr::null())])
        .and_where(Expr::col("id").is_in(ids.iter().copied()))
        .to_owned();
    db.execute(&update).await.map(drop)
}

/// Marks a row that can never be published as it is.
pub(crate) async fn mark_failed<C: ConnectionTrait>(db: &C, id: i64, error: &str) -> Result<(), DbErr> {
    let update = Query::update()
        .table(TABLE)
        .values([("status", "failed".into()), ("attempts", Expr::col("attempts").add(1)), ("last_error", error.into())])
        .and_where(Expr::col("id").eq(id))
        .to_owned();
    db.execute(&update).await.map(drop)
}

/// Delays a row that the server refused for now.
pub(crate) async fn delay<C: ConnectionTrait>(db: &C, id: i64, by: Duration, error: &str) -> Result<(), DbErr> {
    let update = Query::update()
        .table(TABLE)
        .values([
            ("available_at", (crate::clock::now() + by).into()),
            ("attempts", Expr::col("attempts").add(1)),
            ("last_error", error.into()),
        ])
        .and_where(Expr::col("id").eq(id))
        .to_owned();
    db.execute(&update).await.map(drop)
}

/// Deletes up to `limit` sent rows older than `before`; returns how many.
pub(crate) async fn prune<C: ConnectionTrait>(db: &C, before: DateTime<Utc>, limit: u64) -> Result<u64, DbErr> {
    let oldest = Query::select()
        .column("id")
        .from(TABLE)
        .and_where(Expr::cust("status = 'sent'"))
        .and_where(Expr::col("sent_at").lt(before))
        .order_by("sent_at", Order::Asc)
        .limit(limit)
        .to_owned();
    let delete = Query::delete().from_table(TABLE).and_where(Expr::col("id").in_subquery(oldest)).to_owned();
    Ok(db.execute(&delete).await?.rows_affected())
}
