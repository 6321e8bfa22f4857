#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Syncable)]
#[sea_orm(table_name = "organizations")]
#[syncable(resource = "organization", keys = "interleaved")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    pub name: String,
    #[syncable(rename = "title")]
    pub label: String,
    #[syncable(skip)]
    pub internal_note: Option<String>,
    #[sea_orm(enum_name = "Kind")]
    pub r#type: String,
    #[sea_orm(ignore)]
    pub full_name: String,
    pub updated_at: DateTimeUtc,
}
