use jsb_runtime::prelude::*;
use sea_orm::IntoActiveModel;
use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Syncable)]
#[sea_orm(table_name = "rows")]
#[syncable(key = "interleaved", delete = "never")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    #[syncable(skip)]
    pub name: String,
    #[syncable(rename = "name")]
    pub label: String,
    #[syncable(rename = "name")]
    pub title: String,
    pub updated_at: Option<DateTimeUtc>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

// What uses the entity adds no error to those of the entity.
async fn rename(db: &sea_orm::DatabaseConnection, row: Model) -> Result<Model, DbErr> {
    let mut row = row.into_active_model();
    row.name = sea_orm::Set("new".to_owned());
    synced(row.update(db).await?).await
}

async fn synced<M: Syncable>(row: M) -> Result<M, DbErr> {
    Ok(row)
}

fn main() {}
