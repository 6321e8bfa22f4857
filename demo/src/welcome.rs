//! A handler of one's own: it runs once for each user that the other side created.

use jsb_runtime::prelude::*;

use crate::entities::user;

#[jsb_runtime::handler(resource = "user", event = "created")]
async fn welcome(event: &Event<user::Model>, _ctx: &HandlerContext<'_>) -> HandlerResult {
    tracing::info!(id = event.payload.id, name = event.payload.name, from = event.producer, "welcome");
    Ok(())
}
