//! A row whose events have handlers: see [`crate::sightings`].

use jsb_runtime::prelude::*;
use sea_orm::ActiveValue::Set;
use sea_orm::entity::prelude::*;

/// A ticket.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Syncable)]
#[sea_orm(table_name = "tickets")]
#[syncable(resource = "ticket")]
#[allow(missing_docs, reason = "the columns say it")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub number: i64,
    pub updated_at: DateTimeUtc,
}

/// A new one of this number.
pub fn new(number: i64) -> ActiveModel {
    ActiveModel { id: Set(Uuid::now_v7()), number: Set(number), ..Default::default() }
}

/// Saves a new one; its id.
pub async fn saved(db: &DatabaseConnection) -> Uuid {
    new(0).insert(db).await.expect("a ticket").id
}

/// None.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}
