//! Probes: events that are no entity's, and handlers for them that behave as badly as their name says.

use std::collections::HashMap;
use std::io::Write;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Instant;

use futures_util::FutureExt;
use jsb_runtime::prelude::*;
use jsb_runtime::{AsJson, NewEvent};
use sea_orm::sea_query::{Expr, ExprTrait, Query};
use sea_orm::{ConnectionTrait, DatabaseConnection, TransactionTrait};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use uuid::Uuid;

use crate::gate::gate;
use crate::{Remote, effects};

/// Set in a child process whose `hang` handler is to hang for ever.
pub const HANG: &str = "TEST_HANG";
/// Set in a child process, which may be aborted.
pub const CHILD: &str = "TEST_CHILD";
/// What a child says where it hangs.
pub const HANGING: &str = "hanging";

/// What a probe's handler is told.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Orders {
    /// The text of its error.
    pub error: String,
    /// How often it fails before it succeeds.
    pub failures: u32,
    /// The gate that it stands before.
    pub gate: String,
    /// Nothing; it makes the event larger.
    pub ballast: String,
}

/// An event that was published for a probe.
#[derive(Clone, Debug)]
pub struct Probe {
    /// Its resource id, by which its handlers leave effects.
    pub id: String,
    /// Its event id.
    pub event_id: String,
}

/// Publishes an event for the handler `kind`.
pub async fn send(db: &DatabaseConnection, kind: &str, orders: Orders) -> Probe {
    let id = Uuid::new_v4().to_string();
    let payload = serde_json::to_value(orders).expect("orders are JSON");
    jsb_runtime::publish(db, NewEvent::new("probe", &id, kind, payload)).await.expect("an outbox row");
    let select = Query::select()
        .column("event_id")
        .from("outbox_events")
        .and_where(Expr::col("resource_id").eq(id.as_str()))
        .to_owned();
    let row = db.query_one(&select).await.expect("the outbox").expect("the row that was just recorded");
    Probe { id, event_id: row.try_get("", "event_id").expect("an event id") }
}

/// An event of the other side's for the handler `kind`, which is called like its probe.
pub fn event(kind: &str, id: &str, payload: impl Serialize) -> Json {
    Remote::event_with_id(id, "probe", kind, id, json!(payload))
}

static ATTEMPTS: LazyLock<Mutex<HashMap<String, Vec<Instant>>>> = LazyLock::new(Mutex::default);

/// When the handlers of a probe ran in this process, committed or not.
pub fn attempts(probe: &Probe) -> Vec<Instant> {
    ATTEMPTS.lock().unwrap_or_else(PoisonError::into_inner).get(&probe.id).cloned().unwrap_or_default()
}

fn note_attempt(probe: &str) {
    let mut attempts = ATTEMPTS.lock().unwrap_or_else(PoisonError::into_inner);
    attempts.entry(probe.to_owned()).or_default().push(Instant::now());
}

async fn begin(event: &Event<AsJson<Orders>>, ctx: &HandlerContext<'_>) -> HandlerResult {
    note_attempt(&event.resource_id);
    Ok(effects::leave(ctx, &event.resource_id).await?)
}

/// Leaves its effect.
#[handler(resource = "probe", event = "record")]
pub async fn record(event: &Event<AsJson<Orders>>, ctx: &HandlerContext<'_>) -> HandlerResult {
    begin(event, ctx).await
}

/// Fails with its error as often as it is told, and then succeeds.
#[handler(resource = "probe", event = "fail")]
pub async fn fail(event: &Event<AsJson<Orders>>, ctx: &HandlerContext<'_>) -> HandlerResult {
    begin(event, ctx).await?;
    let orders = &event.payload.0;
    if ctx.attempt() > orders.failures { Ok(()) } else { Err(orders.error.as_str().into()) }
}

/// Fails for good.
#[handler(resource = "probe", event = "refuse")]
pub async fn refuse(event: &Event<AsJson<Orders>>, ctx: &HandlerContext<'_>) -> HandlerResult {
    begin(event, ctx).await?;
    Err(HandlerError::permanent(event.payload.0.error.as_str()))
}

/// Leaves its effect, and takes no notice of an error of the database.
#[handler(resource = "probe", event = "ignore")]
pub async fn ignore(event: &Event<AsJson<Orders>>, ctx: &HandlerContext<'_>) -> HandlerResult {
    begin(event, ctx).await?;
    let _ = ctx.db().execute_unprepared("INSERT INTO sync_settings (id) VALUES (1)").await;
    Ok(())
}

/// Leaves its effect, and cancels a nested transaction while it begins, as a limit of time may.
#[handler(resource = "probe", event = "cancel")]
pub async fn cancel(event: &Event<AsJson<Orders>>, ctx: &HandlerContext<'_>) -> HandlerResult {
    begin(event, ctx).await?;
    // The database may have answered before it was asked for the answer.
    while ctx.db().begin().now_or_never().is_some() {}
    Ok(())
}

/// Fails for good until somebody opens its gate, as one mends what is broken.
#[handler(resource = "probe", event = "broken")]
pub async fn broken(event: &Event<AsJson<Orders>>, ctx: &HandlerContext<'_>) -> HandlerResult {
    begin(event, ctx).await?;
    if gate(&event.payload.0.gate).is_open() { Ok(()) } else { Err(HandlerError::permanent("it is broken")) }
}

/// Panics.
#[handler(resource = "probe", event = "panic")]
pub async fn panic(event: &Event<AsJson<Orders>>, ctx: &HandlerContext<'_>) -> HandlerResult {
    begin(event, ctx).await?;
    panic!("{}", event.payload.0.error)
}

/// Takes its process with it.
#[handler(resource = "probe", event = "abort")]
pub async fn abort(event: &Event<AsJson<Orders>>, ctx: &HandlerContext<'_>) -> HandlerResult {
    begin(event, ctx).await?;
    match std::env::var_os(CHILD) {
        Some(_) => std::process::abort(),
        None => Err(HandlerError::permanent("this process is no child and must not be aborted")),
    }
}

/// Leaves its effect, and never returns in a child that is told to hang.
#[handler(resource = "probe", event = "hang")]
pub async fn hang(event: &Event<AsJson<Orders>>, ctx: &HandlerContext<'_>) -> HandlerResult {
    begin(event, ctx).await?;
    if std::env::var_os(HANG).is_some() {
        writeln!(std::io::stdout(), "{HANGING}")?;
        std::future::pending::<()>().await;
    }
    Ok(())
}

/// Stands before its gate first, and then leaves its effect.
#[handler(resource = "probe", event = "hesitate")]
pub async fn hesitate(event: &Event<AsJson<Orders>>, ctx: &HandlerContext<'_>) -> HandlerResult {
    gate(&event.payload.0.gate).pass().await;
    begin(event, ctx).await
}

/// Leaves its effect once its gate is open.
#[handler(resource = "probe", event = "wait")]
pub async fn wait(event: &Event<AsJson<Orders>>, ctx: &HandlerContext<'_>) -> HandlerResult {
    begin(event, ctx).await?;
    gate(&event.payload.0.gate).pass().await;
    Ok(())
}
