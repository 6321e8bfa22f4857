//! Columns that are not named as their fields are.

use jsb_runtime::Syncable;
use sea_orm::Iden;

use super::wire_names;

pub mod renamed {
    use jsb_runtime::prelude::*;
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel, Syncable)]
    #[sea_orm(table_name = "rows", rename_all = "camelCase")]
    #[syncable(resource = "row")]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub row_id: Uuid,
        #[sea_orm(enum_name = "Sort")]
        pub r#type: String,
        #[sea_orm(column_name = "Line 1")]
        pub address_1: String,
        #[syncable(rename = "second line")]
        pub address_2: String,
        pub self_: bool,
        #[sea_orm(ignore)]
        pub address: Option<String>,
        #[sea_orm(enum_name = "Edited")]
        pub updated_at: DateTimeUtc,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}
}

pub mod moved {
    use jsb_runtime::prelude::*;
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel, Syncable)]
    #[sea_orm(table_name = "rows")]
    #[syncable(resource = "row")]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: Uuid,
        #[syncable(rename = "last_name")]
        pub first_name: String,
        #[syncable(rename = "first_name")]
        pub last_name: String,
        #[syncable(skip)]
        pub note: Option<String>,
        #[syncable(rename = "note")]
        pub remark: String,
        #[sea_orm(enum_name = "Kind")]
        pub sort: String,
        #[syncable(rename = "sort")]
        pub order_1: i32,
        pub updated_at: DateTimeUtc,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}
}

#[test]
fn a_column_travels_under_its_name_in_the_database() {
    assert_eq!(wire_names::<renamed::Model>(), ["rowId", "type", "Line 1", "second line", "self", "updatedAt"]);
    assert_eq!(renamed::Model::VERSION.unquoted(), "updatedAt");
}

#[test]
fn a_name_that_no_other_column_travels_under_is_free() {
    assert_eq!(wire_names::<moved::Model>(), ["id", "last_name", "first_name", "note", "kind", "sort", "updated_at"]);
}
