//! Custom handlers, and what they are registered as.

use jsb_runtime as jsb;
use jsb_runtime::__private::{HandlerRegistration, inventory};
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
async fn count(_: &jsb::Event<user::Model>, _: &HandlerContext<'_>) -> HandlerResult {
    Ok(())
}

#[handler(resource = "invoice", event = "paid")]
#[handler(resource = "invoice", event = "written-off")]
pub async fn close(event: &Event<Json>, _ctx: &HandlerContext<'_>) -> Result<(), HandlerError> {
    let _: &Json = &event.payload["number"];
    Ok(())
}

#[handler(resource = "invoice", event = "sent")]
async fn file(_: &Event, _: &HandlerContext<'_>) -> HandlerResult {
    Ok(())
}

#[test]
fn a_handler_is_registered_with_the_resource_whose_rows_it_takes() {
    let entity_of = |name: &str| {
        let mut handlers = inventory::iter::<HandlerRegistration>.into_iter();
        handlers.find(|handler| handler.name.ends_with(name)).expect("a handler of this name").entity
    };
    assert_eq!([entity_of("::welcome"), entity_of("::count")], [Some("user"), Some("user")]);
    assert_eq!([entity_of("::close"), entity_of("::file")], [None, None]);
}
