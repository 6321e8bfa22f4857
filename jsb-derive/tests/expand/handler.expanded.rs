async fn welcome(event: &Event<user::Model>, ctx: &HandlerContext<'_>) -> HandlerResult {
    mail(&event.payload, ctx.db()).await
}
const _: () = {
    use ::jsb_runtime::__private as jsb;
    jsb::register_handler! {
        resource : "user", event : "invited", name :
        ::core::concat!(::core::module_path!(), "::", "welcome"), run : | envelope, ctx |
        jsb::Box::pin(async move { let event = jsb::decode(envelope) ?; let result :
        jsb::HandlerResult = welcome(& event, ctx). await; result })
    }
};
const _: () = {
    use ::jsb_runtime::__private as jsb;
    jsb::register_handler! {
        resource : "user", event : "created", name :
        ::core::concat!(::core::module_path!(), "::", "welcome"), run : | envelope, ctx |
        jsb::Box::pin(async move { let event = jsb::decode(envelope) ?; let result :
        jsb::HandlerResult = welcome(& event, ctx). await; result })
    }
};
