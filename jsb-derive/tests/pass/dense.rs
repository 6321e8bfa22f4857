//! The dense format, in which SeaORM hands the derive a second struct, with the relations.

use jsb_runtime::{Keys, Syncable};

use super::wire_names;

pub mod organization {
    use jsb_runtime::prelude::*;
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Syncable)]
    #[sea_orm(table_name = "organizations")]
    #[syncable(resource = "organization", keys = "single_writer")]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: i32,
        #[sea_orm(unique)]
        pub domain: String,
        #[syncable(skip)]
        pub internal_note: Option<String>,
        pub updated_at: TimeDateTimeWithTimeZone,
        #[sea_orm(has_many)]
        pub users: HasMany<super::user::Entity>,
        #[sea_orm(has_many, via = "tagging")]
        pub tags: HasMany<super::tag::Entity>,
    }
}

pub mod user {
    use jsb_runtime::prelude::*;
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel, Syncable)]
    #[sea_orm(table_name = "users")]
    #[syncable(resource = "user")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub organization_id: Option<i32>,
        #[syncable(version)]
        pub edited: DateTimeUtc,
        #[sea_orm(belongs_to, from = "organization_id", to = "id")]
        pub organization: HasOne<super::organization::Entity>,
        #[sea_orm(has_one)]
        pub profile: HasOne<super::profile::Entity>,
    }
}

pub mod profile {
    use jsb_runtime::prelude::*;
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel, Syncable)]
    #[sea_orm(table_name = "profiles")]
    #[syncable(resource = "profile")]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: Uuid,
        #[sea_orm(unique)]
        pub user_id: Uuid,
        pub picture: Json,
        pub updated_at: DateTimeWithTimeZone,
        #[sea_orm(belongs_to, from = "user_id", to = "id")]
        pub user: HasOne<super::user::Entity>,
    }
}

pub mod tag {
    use jsb_runtime::prelude::*;
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel, Syncable)]
    #[sea_orm(table_name = "tags")]
    #[syncable(resource = "tag")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub name: String,
        pub updated_at: DateTimeUtc,
        #[sea_orm(has_many, via = "tagging")]
        pub organizations: HasMany<super::organization::Entity>,
    }
}

pub mod tagging {
    use jsb_runtime::prelude::*;
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel, Syncable)]
    #[sea_orm(table_name = "taggings")]
    #[syncable(resource = "tagging")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub organization_id: i32,
        #[sea_orm(primary_key, auto_increment = false)]
        pub tag_name: String,
        pub updated_at: DateTimeUtc,
        #[sea_orm(belongs_to, from = "organization_id", to = "id")]
        pub organization: HasOne<super::organization::Entity>,
        #[sea_orm(belongs_to, from = "tag_name", to = "name")]
        pub tag: HasOne<super::tag::Entity>,
    }
}

#[test]
fn relations_do_not_travel() {
    assert_eq!(organization::Model::KEYS, Keys::SingleWriter);
    assert_eq!(wire_names::<organization::Model>(), ["id", "domain", "updated_at"]);
    assert_eq!(wire_names::<user::Model>(), ["id", "organization_id", "edited"]);
    assert_eq!(wire_names::<profile::Model>(), ["id", "user_id", "picture", "updated_at"]);
    assert_eq!(wire_names::<tag::Model>(), ["name", "updated_at"]);
    assert_eq!(wire_names::<tagging::Model>(), ["organization_id", "tag_name", "updated_at"]);
}
