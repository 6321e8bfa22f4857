//! `/users`; each comes with its organization.

use chrono::Utc;
use sea_orm::{DatabaseConnection, DbErr, DeleteResult, DeriveIntoActiveModel, EntityTrait, Select, Set};
use serde::{Deserialize, Serialize};

use super::body::{Required, Text};
use super::resource::Resource;
use super::row::Row;
use crate::entities::organization;
use crate::entities::user::{ActiveModel, Column, Entity, Model};

#[derive(Deserialize, DeriveIntoActiveModel)]
pub(crate) struct Fields {
    organization_id: Option<i64>,
    name: Option<String>,
    email: Option<String>,
    role: Option<String>,
    active: Option<bool>,
}

#[derive(Serialize)]
pub(crate) struct View {
    #[serde(flatten)]
    user: Row<Model>,
    organization: Option<Row<organization::Model>>,
}

/// A user that is saved, which stays so where its organization cannot be read.
async fn saved(user: Model, db: &DatabaseConnection) -> View {
    let found = organization::Entity::find_by_id(user.organization_id).one(db).await;
    let organization = found.unwrap_or_else(|error| {
        tracing::warn!(%error, "a user is answered without its organization");
        None
    });
    View { user: Row(user), organization: organization.map(Row) }
}

impl Resource for Entity {
    const NAME: &'static str = "user";
    const PATH: &'static str = "/users";
    const REQUIRED: &'static [Required] =
        &[Required::parent("organization_id", "organization"), Required::text("name"), Required::text("email")];
    const TEXTS: &'static [Text] = &[Text::long("name"), Text::unique("email"), Text::long("role")];
    const UNIQUE: &'static str = "email";
    const FOREIGN_KEY: (&'static str, &'static str) = ("organization", "must exist");
    const AGE: [Column; 2] = [Column::CreatedAt, Column::Id];

    type Fields = Fields;
    type View = View;

    async fn load(rows: Select<Self>, db: &DatabaseConnection) -> Result<Vec<View>, DbErr> {
        let rows = rows.find_also_related(organization::Entity).all(db).await?;
        let view =
            |(user, organization): (Model, Option<_>)| View { user: Row(user), organization: organization.map(Row) };
        Ok(rows.into_iter().map(view).collect())
    }

    async fn create(mut row: ActiveModel, db: &DatabaseConnection) -> Result<View, DbErr> {
        row.created_at = Set(Utc::now());
        Ok(saved(row.insert(db).await?, db).await)
    }

    async fn change(id: i64, mut changes: ActiveModel, db: &DatabaseConnection) -> Result<View, DbErr> {
        changes.id = Set(id);
        Ok(saved(changes.update(db).await?, db).await)
    }

    async fn remove(id: i64, db: &DatabaseConnection) -> Result<DeleteResult, DbErr> {
        let row = ActiveModel { id: Set(id), ..ActiveModel::default() };
        row.delete(db).await
    }
}
