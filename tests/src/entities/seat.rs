//! A unique pair of columns, of which one refers to a parent. On the wire it has a name that sorts before its parent's.

use jsb_runtime::prelude::*;
use sea_orm::entity::prelude::*;

/// A numbered seat of an organization.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Syncable)]
#[sea_orm(table_name = "seats")]
#[syncable(resource = "chair")]
#[allow(missing_docs, reason = "the columns say it")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub organization_id: i64,
    pub number: i32,
    pub updated_at: DateTimeUtc,
    #[sea_orm(belongs_to, from = "organization_id", to = "id")]
    pub organization: HasOne<super::organization::Entity>,
}
