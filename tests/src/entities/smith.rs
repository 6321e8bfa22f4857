//! A child that its parent may refer to, and whose changes a handler hears of.

use jsb_runtime::prelude::*;
use sea_orm::entity::prelude::*;

use super::guild;
use crate::effects;

/// A smith of a guild.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Syncable)]
#[sea_orm(table_name = "smiths")]
#[syncable(resource = "smith")]
#[allow(missing_docs, reason = "the columns say it")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub guild_id: Uuid,
    pub teacher_id: Uuid,
    pub name: String,
    pub updated_at: DateTimeUtc,
}

/// From whom it has learned, which may be itself, and where it belongs. In this order: what a row lacks is looked for in it.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Relation {
    #[sea_orm(belongs_to = "Entity", from = "Column::TeacherId", to = "Column::Id")]
    Teacher,
    #[sea_orm(belongs_to = "super::guild::Entity", from = "Column::GuildId", to = "super::guild::Column::Id")]
    Guild,
}

/// Writes down whom it finds as the master of the smith's guild.
#[handler(resource = "smith", event = "created")]
pub async fn herald(event: &Event<Model>, ctx: &HandlerContext<'_>) -> HandlerResult {
    let guild = guild::Entity::find_by_id(event.payload.guild_id).one(ctx.db()).await?;
    let master = guild.and_then(|guild| guild.master_id);
    effects::leave(ctx, &format!("{} serves {master:?}", event.payload.name)).await?;
    Ok(())
}
