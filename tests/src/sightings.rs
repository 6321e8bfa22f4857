//! Custom handlers that write down what they saw, within the inbox's transaction, and two that call each other.

use jsb_runtime::prelude::*;
use jsb_runtime::{AsJson, NewEvent};
use sea_orm::{ActiveModelTrait, ActiveValue::Set};
use serde::Deserialize;
use serde_json::{Value as Json, json};

use crate::entities::{sighting, ticket};
use crate::faults::child::slowness;

/// A typed handler.
#[handler(resource = "ticket", event = "created")]
#[handler(resource = "ticket", event = "updated")]
#[handler(resource = "ticket", event = "deleted")]
pub async fn typed(event: &Event<ticket::Model>, ctx: &HandlerContext<'_>) -> HandlerResult {
    write_down("typed", event, event.payload.number, ctx).await
}

/// Another one for the same events, which reads the raw payload.
#[handler(resource = "ticket", event = "created")]
#[handler(resource = "ticket", event = "updated")]
pub async fn raw(event: &Event<Json>, ctx: &HandlerContext<'_>) -> HandlerResult {
    let number = event.payload["number"].as_i64().ok_or("a ticket has a number")?;
    write_down("raw", event, number, ctx).await
}

/// The payload of an event that is no entity's.
#[derive(Clone, Debug, Deserialize)]
pub struct Report {
    /// Its pages.
    pub pages: i64,
}

/// A handler of a custom event.
#[handler(resource = "report", event = "finished")]
pub async fn report(event: &Event<AsJson<Report>>, ctx: &HandlerContext<'_>) -> HandlerResult {
    write_down("report", event, event.payload.0.pages, ctx).await
}

/// Returns a ball.
#[handler(resource = "rally", event = "ping")]
pub async fn pong(event: &Event<Json>, ctx: &HandlerContext<'_>) -> HandlerResult {
    write_down("pong", event, 0, ctx).await?;
    jsb_runtime::publish(ctx.db(), NewEvent::new("rally", &event.resource_id, "pong", json!({}))).await?;
    Ok(())
}

/// Returns it again.
#[handler(resource = "rally", event = "pong")]
pub async fn ping(event: &Event<Json>, ctx: &HandlerContext<'_>) -> HandlerResult {
    write_down("ping", event, 0, ctx).await?;
    jsb_runtime::publish(ctx.db(), NewEvent::new("rally", &event.resource_id, "ping", json!({}))).await?;
    Ok(())
}

async fn write_down<P>(name: &str, event: &Event<P>, number: i64, ctx: &HandlerContext<'_>) -> HandlerResult {
    let sighting = sighting::ActiveModel {
        handler: Set(name.to_owned()),
        event_id: Set(event.event_id.clone()),
        event_type: Set(event.event_type.clone()),
        resource_id: Set(event.resource_id.clone()),
        number: Set(number),
        stale: Set(event.is_stale()),
        ..Default::default()
    };
    sighting.insert(ctx.db()).await?;
    slowness().await;
    Ok(())
}
