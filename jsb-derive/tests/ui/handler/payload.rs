use jsb_runtime::prelude::*;

struct Unknown;

#[handler(resource = "user", event = "created")]
async fn undecodable(_: &Event<Unknown>, _: &HandlerContext<'_>) -> HandlerResult {
    Ok(())
}

fn main() {}
