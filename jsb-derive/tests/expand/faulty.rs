#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Syncable)]
#[sea_orm(table_name = "organizations")]
#[syncable(ressource = "organization")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    #[syncable(skip)]
    pub name: String,
    pub updated_at: Option<DateTimeUtc>,
}
