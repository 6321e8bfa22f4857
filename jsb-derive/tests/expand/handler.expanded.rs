async fn welcome(event: &Event<user::Model>, ctx: &HandlerContext<'_>) -> HandlerResult {
    mail(&event.payload, ctx.db()).await
}
::jsb_runtime::__private::register_handler! {
    resource : "user", event : "invited", takes : Event < user::Model >, name :
    ::core::concat!(::core::module_path!(), "::", "welcome"), run : | incoming, ctx |
    ::jsb_runtime::__private::Box::pin(async move { let event =
    ::jsb_runtime::__private::decode(incoming) ?; let result :
    ::jsb_runtime::__private::HandlerResult = welcome(& event, ctx). await; result })
}
::jsb_runtime::__private::register_handler! {
    resource : "user", event : "created", takes : Event < user::Model >, name :
    ::core::concat!(::core::module_path!(), "::", "welcome"), run : | incoming, ctx |
    ::jsb_runtime::__private::Box::pin(async move { let event =
    ::jsb_runtime::__private::decode(incoming) ?; let result :
    ::jsb_runtime::__private::HandlerResult = welcome(& event, ctx). await; result })
}
