use jsb_runtime::prelude::*;
use sea_orm::prelude::Json;

#[handler(resource = "user", event = "created")]
fn blocking(_: &Event<Json>, _: &HandlerContext<'_>) -> HandlerResult {
    Ok(())
}

#[handler(resource = "user", event = "created")]
async fn generic<T: Send>(_: &Event<T>, _: &HandlerContext<'_>) -> HandlerResult {
    Ok(())
}

#[handler(resource = "user", event = "created")]
async fn without_context(_: &Event<Json>) -> HandlerResult {
    Ok(())
}

#[handler(resource = "user", event = "created")]
async fn owned(_: Event<Json>, _: &HandlerContext<'_>) -> HandlerResult {
    Ok(())
}

#[handler(resource = "user", event = "created")]
fn everything<T>(_: T) {}

struct Mailer;

impl Mailer {
    #[handler(resource = "user", event = "created")]
    async fn method(&self, _: &Event<Json>, _: &HandlerContext<'_>) -> HandlerResult {
        Ok(())
    }
}

#[handler(resource = "user", event = "created")]
struct NotAFunction;

fn main() {
    let _ = (NotAFunction, Mailer);
}
