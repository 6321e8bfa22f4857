//! A parent that refers to two of its children.

use jsb_runtime::prelude::*;
use sea_orm::entity::prelude::*;

/// A guild, which smiths of its may lead.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Syncable)]
#[sea_orm(table_name = "guilds")]
#[syncable(resource = "guild")]
#[allow(missing_docs, reason = "the columns say it")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub name: String,
    pub master_id: Option<Uuid>,
    pub deputy_id: Option<Uuid>,
    pub updated_at: DateTimeUtc,
}

/// Who leads it.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Relation {
    #[sea_orm(belongs_to = "super::smith::Entity", from = "Column::MasterId", to = "super::smith::Column::Id")]
    Master,
    #[sea_orm(belongs_to = "super::smith::Entity", from = "Column::DeputyId", to = "super::smith::Column::Id")]
    Deputy,
}
