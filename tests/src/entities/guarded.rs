//! Hooks of its own, which call the runtime's.

use jsb_runtime::{hooks, prelude::*};
use sea_orm::IntoActiveModel;
use sea_orm::entity::prelude::*;

use super::tally;

/// A text with which the hook takes no notice of what went wrong.
pub const CARELESS: &str = "CARELESS";

/// A text with which the hook touches another row, and changes nothing of it.
pub const SOCIABLE: &str = "SOCIABLE";

/// A text that must not be empty.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Syncable)]
#[sea_orm(table_name = "guarded")]
#[syncable(resource = "guarded", behavior = "custom")]
#[allow(missing_docs, reason = "the columns say it")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub text: String,
    pub updated_at: DateTimeUtc,
}

/// None.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

#[async_trait::async_trait]
impl ActiveModelBehavior for ActiveModel {
    async fn before_save<C: ConnectionTrait>(mut self, db: &C, insert: bool) -> Result<Self, DbErr> {
        if let Some(text) = self.text.take() {
            if text.is_empty() {
                return Err(DbErr::Custom("the text is empty".to_owned()));
            }
            self.text = sea_orm::Set(text.to_uppercase());
        }
        let is_sociable = self.text.try_as_ref().is_some_and(|text| text == SOCIABLE);
        let row = hooks::before_save::<Model, _>(self, db, insert).await?;
        if is_sociable && let Some(other) = tally::Entity::find().one(db).await? {
            ActiveModelTrait::update(other.into_active_model(), db).await?;
        }
        Ok(row)
    }

    async fn after_save<C: ConnectionTrait>(model: Model, db: &C, insert: bool) -> Result<Model, DbErr> {
        let careless = (model.text == CARELESS).then(|| model.clone());
        let saved = hooks::after_save(model, db, insert).await;
        saved.or_else(|error| careless.ok_or(error))
    }

    async fn before_delete<C: ConnectionTrait>(self, db: &C) -> Result<Self, DbErr> {
        hooks::before_delete::<Model, _>(self, db).await
    }

    async fn after_delete<C: ConnectionTrait>(self, db: &C) -> Result<Self, DbErr> {
        hooks::after_delete::<Model, _>(self, db).await
    }
}
