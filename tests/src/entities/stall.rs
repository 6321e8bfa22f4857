//! A unique number, which a handler looks at.

use jsb_runtime::prelude::*;
use sea_orm::entity::prelude::*;

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

/// Lets nobody have the thirteenth.
#[handler(resource = "stall", event = "updated")]
pub async fn warden(event: &Event<Model>, _: &HandlerContext<'_>) -> HandlerResult {
    if event.payload.number == 13 { Err(HandlerError::permanent("there is no such stall")) } else { Ok(()) }
}
