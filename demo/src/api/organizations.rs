//! `/organizations`.

use chrono::Utc;
use sea_orm::{DatabaseConnection, DbErr, DeleteResult, DeriveIntoActiveModel, Select, Set};
use serde::Deserialize;

use super::body::{Required, Text};
use super::resource::Resource;
use super::row::Row;
use crate::entities::organization::{ActiveModel, Column, Entity, Model};

#[derive(Deserialize, DeriveIntoActiveModel)]
pub(crate) struct Fields {
    name: Option<String>,
    domain: Option<String>,
    active: Option<bool>,
}

impl Resource for Entity {
    const NAME: &'static str = "organization";
    const PATH: &'static str = "/organizations";
    const REQUIRED: &'static [Required] = &[Required::text("name"), Required::text("domain")];
    const TEXTS: &'static [Text] = &[Text::long("name"), Text::unique("domain")];
    const UNIQUE: &'static str = "domain";
    const FOREIGN_KEY: (&'static str, &'static str) = ("base", "still has users");
    const AGE: [Column; 2] = [Column::CreatedAt, Column::Id];

    type Fields = Fields;
    type View = Row<Model>;

    async fn load(rows: Select<Self>, db: &DatabaseConnection) -> Result<Vec<Row<Model>>, DbErr> {
        Ok(rows.all(db).await?.into_iter().map(Row).collect())
    }

    async fn create(mut row: ActiveModel, db: &DatabaseConnection) -> Result<Row<Model>, DbErr> {
        row.created_at = Set(Utc::now());
        row.insert(db).await.map(Row)
    }

    async fn change(id: i64, mut changes: ActiveModel, db: &DatabaseConnection) -> Result<Row<Model>, DbErr> {
        changes.id = Set(id);
        changes.update(db).await.map(Row)
    }

    async fn remove(id: i64, db: &DatabaseConnection) -> Result<DeleteResult, DbErr> {
        let row = ActiveModel { id: Set(id), ..ActiveModel::default() };
        row.delete(db).await
    }
}
