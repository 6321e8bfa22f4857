//! The compact format with a relation, and columns of many types.

use jsb_runtime::{Keys, OnDelete, Syncable};
use sea_orm::Iden;

use super::wire_names;

pub mod organization {
    use jsb_runtime::prelude::*;
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel, Syncable)]
    #[sea_orm(table_name = "organizations")]
    #[syncable(resource = "organization", keys = "interleaved")]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: i64,
        pub name: String,
        #[syncable(rename = "title")]
        pub label: Option<String>,
        pub plan: Plan,
        pub former_plan: Option<Plan>,
        pub settings: Json,
        pub revenue: Decimal,
        pub logo: Vec<u8>,
        #[syncable(skip)]
        pub internal_note: Option<String>,
        #[syncable(skip)]
        #[sea_orm(default_value = 0)]
        pub logins: i32,
        #[syncable(skip)]
        #[sea_orm(default_expr = "Expr::current_timestamp()")]
        pub seen_at: DateTimeUtc,
        pub created_at: DateTimeUtc,
        pub updated_at: DateTimeUtc,
    }

    #[derive(Clone, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
    #[sea_orm(rs_type = "String", db_type = "String(StringLen::None)")]
    pub enum Plan {
        #[sea_orm(string_value = "free")]
        Free,
        #[sea_orm(string_value = "paid")]
        Paid,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {
        #[sea_orm(has_many = "super::user::Entity")]
        Users,
    }

    impl Related<super::user::Entity> for Entity {
        fn to() -> RelationDef {
            Relation::Users.def()
        }
    }
}

pub mod user {
    use jsb_runtime::prelude::*;
    use sea_orm::entity::prelude::*;

    #[sea_orm::compact_model]
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Syncable)]
    #[sea_orm(table_name = "users")]
    #[syncable(resource = "user", delete = "ignore")]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: Uuid,
        pub organization_id: Option<i64>,
        pub updated_at: DateTimeUtc,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {
        #[sea_orm(
            belongs_to = "super::organization::Entity",
            from = "Column::OrganizationId",
            to = "super::organization::Column::Id"
        )]
        Organization,
    }

    impl Related<super::organization::Entity> for Entity {
        fn to() -> RelationDef {
            Relation::Organization.def()
        }
    }
}

#[test]
fn an_entity_says_what_its_attributes_say() {
    assert_eq!(organization::Model::RESOURCE, "organization");
    assert_eq!(organization::Model::KEYS, Keys::Interleaved);
    assert_eq!(organization::Model::ON_DELETE, OnDelete::Apply);
    assert_eq!(organization::Model::VERSION.unquoted(), "updated_at");
    assert_eq!(
        wire_names::<organization::Model>(),
        ["id", "name", "title", "plan", "former_plan", "settings", "revenue", "logo", "created_at", "updated_at"]
    );
}

#[test]
fn a_natural_key_needs_no_choice() {
    assert_eq!(user::Model::KEYS, Keys::Natural);
    assert_eq!(user::Model::ON_DELETE, OnDelete::Ignore);
    assert_eq!(wire_names::<user::Model>(), ["id", "organization_id", "updated_at"]);
}
