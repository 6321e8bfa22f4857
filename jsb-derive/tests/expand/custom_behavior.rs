#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Syncable)]
#[sea_orm(table_name = "counters")]
#[syncable(resource = "counter", keys = "single_writer", behavior = "custom")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: u32,
    pub updated_at: DateTime,
}
