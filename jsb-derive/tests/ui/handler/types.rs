use std::rc::Rc;

use jsb_runtime::prelude::*;
use sea_orm::prelude::Json;

#[handler(resource = "user", event = "created")]
async fn exchanged(_: &HandlerContext<'_>, _: &Event<Json>) -> HandlerResult {
    Ok(())
}

#[handler(resource = "user", event = "created")]
async fn other_result(_: &Event<Json>, _: &HandlerContext<'_>) -> Option<()> {
    None
}

#[handler(resource = "user", event = "created")]
async fn bound_to_a_thread(_: &Event<Json>, _: &HandlerContext<'_>) -> HandlerResult {
    let rc = Rc::new(());
    std::future::ready(()).await;
    drop(rc);
    Ok(())
}

fn main() {}
