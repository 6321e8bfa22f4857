use jsb_runtime::prelude::*;
use sea_orm::prelude::Json;

#[handler]
async fn nothing(_: &Event<Json>, _: &HandlerContext<'_>) -> HandlerResult {
    Ok(())
}

#[handler(resource = "user")]
async fn no_event(_: &Event<Json>, _: &HandlerContext<'_>) -> HandlerResult {
    Ok(())
}

#[handler(resource = "", event = "*")]
async fn no_names(_: &Event<Json>, _: &HandlerContext<'_>) -> HandlerResult {
    Ok(())
}

#[handler(resource = user, event = "user.created")]
async fn not_a_string(_: &Event<Json>, _: &HandlerContext<'_>) -> HandlerResult {
    Ok(())
}

#[handler(resource = "user", event = "created", event = "updated", priority = 1)]
async fn too_much(_: &Event<Json>, _: &HandlerContext<'_>) -> HandlerResult {
    Ok(())
}

#[handler("user", "created")]
async fn no_arguments(_: &Event<Json>, _: &HandlerContext<'_>) -> HandlerResult {
    Ok(())
}

fn main() {}
