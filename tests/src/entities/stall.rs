//! A unique number, which a handler looks at.

use jsb_runtime::prelude::*;
use sea_orm::QueryOrder;
use sea_orm::entity::prelude::*;

use crate::effects;
use crate::probe::CHILD;

/// The number that ends a child process whose row is to have it.
pub const DEADLY: i32 = 17;

/// A stall at a market.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Syncable)]
#[sea_orm(table_name = "stalls")]
#[syncable(resource = "stall")]
#[allow(missing_docs, reason = "the columns say it")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    #[sea_orm(unique)]
    pub number: i32,
    pub updated_at: DateTimeUtc,
}

/// None.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

/// Lets nobody have the thirteenth, takes a child process with it for the [`DEADLY`] one, and writes down the numbers that it finds.
#[handler(resource = "stall", event = "updated")]
pub async fn warden(event: &Event<Model>, ctx: &HandlerContext<'_>) -> HandlerResult {
    if event.payload.number == 13 {
        return Err(HandlerError::permanent("there is no such stall"));
    }
    if event.payload.number == DEADLY && std::env::var_os(CHILD).is_some() {
        std::process::abort();
    }
    let stalls = Entity::find().order_by_asc(Column::Number).all(ctx.db()).await?;
    effects::leave(ctx, &format!("{:?}", stalls.iter().map(|stall| stall.number).collect::<Vec<_>>())).await?;
    Ok(())
}
