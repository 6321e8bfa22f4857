// What SeaORM's `#[sea_orm::model]` makes of one struct: `Model`, and `ModelEx` with the relations.

#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Syncable)]
#[syncable(resource = "membership", delete = "ignore")]
#[sea_orm(table_name = "memberships")]
#[sea_orm(model_ex)]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub organization_id: i64,
    #[syncable(version)]
    pub changed: TimeDateTimeWithTimeZone,
}

#[derive(Clone, Debug, PartialEq, DeriveModelEx, DeriveActiveModelEx, Syncable)]
#[syncable(resource = "membership", delete = "ignore")]
#[sea_orm(table_name = "memberships")]
pub struct ModelEx {
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub organization_id: i64,
    #[syncable(version)]
    pub changed: TimeDateTimeWithTimeZone,
    #[sea_orm(belongs_to, from = "organization_id", to = "id")]
    pub organization: HasOne<super::organization::Entity>,
}
