//! Custom handlers, and what they are registered as.

use jsb_runtime::prelude::*;
use sea_orm::entity::prelude::*;

use super::compact::{organization, user};

#[handler(resource = "user", event = "created")]
async fn welcome(event: &Event<user::Model>, ctx: &HandlerContext<'_>) -> HandlerResult {
    organization::Entity::find().one(ctx.db()).await?;
    let _: Option<i64> = event.payload.organization_id;
    Ok(())
}

#[handler(resource = "user", event = "created")]
async fn count(_: &Event<user::Model>, _: &HandlerContext<'_>) -> HandlerResult {
    Ok(())
}

#[handler(resource = "invoice", event = "paid")]
#[handler(resource = "invoice", event = "written-off")]
pub async fn close(event: &Event<Json>, _ctx: &HandlerContext<'_>) -> Result<(), HandlerError> {
    let _: &Json = &event.payload["number"];
    Ok(())
}
