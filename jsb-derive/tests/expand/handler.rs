#[handler(resource = "user", event = "created")]
#[handler(resource = "user", event = "invited")]
async fn welcome(event: &Event<user::Model>, ctx: &HandlerContext<'_>) -> HandlerResult {
    mail(&event.payload, ctx.db()).await
}
