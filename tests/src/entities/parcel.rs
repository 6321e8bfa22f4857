//! JSON of types of one's own: a struct, and one around a list.

use jsb_runtime::prelude::*;
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

/// A parcel.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Syncable)]
#[sea_orm(table_name = "parcels")]
#[syncable(resource = "parcel")]
#[allow(missing_docs, reason = "the columns say it")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub address: Address,
    pub items: Items,
    pub updated_at: DateTimeUtc,
}

/// None.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

/// Where it goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, FromJsonQueryResult)]
#[allow(missing_docs, reason = "the members say it")]
pub struct Address {
    pub town: String,
}

/// What is in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, FromJsonQueryResult)]
pub struct Items(pub Vec<Item>);

/// One of the things that are in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the members say it")]
pub struct Item {
    pub name: String,
}
