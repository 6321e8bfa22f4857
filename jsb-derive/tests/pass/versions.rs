//! Versions of every type that can be one.

macro_rules! entity {
    ($name:ident, $(#[$mark:meta])? $version:ident: $ty:ty) => {
        pub mod $name {
            use jsb_runtime::prelude::*;
            use sea_orm::entity::prelude::*;

            #[derive(Clone, Debug, PartialEq, DeriveEntityModel, Syncable)]
            #[sea_orm(table_name = "rows")]
            #[syncable(resource = "row")]
            pub struct Model {
                #[sea_orm(primary_key)]
                pub id: Uuid,
                pub created_at: $ty,
                $(#[$mark])?
                pub $version: $ty,
            }

            #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
            pub enum Relation {}

            #[test]
            fn knows_its_version() {
                let version: Option<<Model as Syncable>::Version> = None;
                let _: Option<$ty> = version;
                assert_eq!(Model::VERSION.unquoted(), stringify!($version));
            }
        }
    };
}

entity!(chrono_utc, updated_at: DateTimeUtc);
entity!(chrono_offset, updated_at: DateTimeWithTimeZone);
entity!(chrono_naive, updated_at: DateTime);
entity!(chrono_by_path, updated_at: sea_orm::prelude::ChronoDateTimeUtc);
entity!(time_offset, updated_at: TimeDateTimeWithTimeZone);
entity!(time_primitive, updated_at: TimeDateTime);
entity!(marked, #[syncable(version)] last_edit: DateTimeUtc);

/// The mark counts, although there is an `updated_at`.
pub mod marked_beside_updated_at {
    use jsb_runtime::prelude::*;
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel, Syncable)]
    #[sea_orm(table_name = "rows")]
    #[syncable(resource = "row")]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: Uuid,
        pub updated_at: Option<Date>,
        #[syncable(version, rename = "updated_at_utc")]
        pub version: DateTimeUtc,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    #[test]
    fn the_mark_counts() {
        assert_eq!(Model::VERSION.unquoted(), "version");
    }
}
