//! Keys of every kind, and what they count as.

use jsb_runtime::{Keys, Syncable};

/// An entity of its own, with nothing but a key and a version.
macro_rules! entity {
    ($name:ident, [$($setting:tt)*], { $(#[$sea_orm:meta] $key:ident: $ty:ty,)+ }) => {
        pub mod $name {
            use jsb_runtime::prelude::*;
            use sea_orm::entity::prelude::*;

            #[derive(Clone, Debug, PartialEq, DeriveEntityModel, Syncable)]
            #[sea_orm(table_name = "rows")]
            #[syncable(resource = "row" $($setting)*)]
            pub struct Model {
                $(#[$sea_orm] pub $key: $ty,)+
                pub updated_at: DateTimeUtc,
            }

            #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
            pub enum Relation {}
        }
    };
}

entity!(big_integer, [, keys = "interleaved"], { #[sea_orm(primary_key)] id: i64, });
entity!(unsigned, [, keys = "interleaved"], { #[sea_orm(primary_key)] id: u32, });
entity!(small_integer, [, keys = "single_writer"], { #[sea_orm(primary_key)] id: i16, });
entity!(newtype, [, keys = "interleaved"], { #[sea_orm(primary_key)] id: super::UserId, });
entity!(integer_of_the_application, [], { #[sea_orm(primary_key, auto_increment = false)] id: i32, });
entity!(uuid, [], { #[sea_orm(primary_key)] id: Uuid, });
entity!(uuid_by_path, [], { #[sea_orm(primary_key)] id: sea_orm::prelude::Uuid, });
entity!(string, [], { #[sea_orm(primary_key)] code: String, });
entity!(bytes, [], { #[sea_orm(primary_key, auto_increment = false)] digest: Vec<u8>, });
entity!(composite, [], { #[sea_orm(primary_key)] left: i64, #[sea_orm(primary_key)] right: Uuid, });

#[derive(Clone, Debug, PartialEq, Eq, sea_orm::DeriveValueType)]
#[sea_orm(try_from_u64)]
pub struct UserId(i64);

#[test]
fn a_key_that_the_database_draws_is_as_chosen() {
    assert_eq!(big_integer::Model::KEYS, Keys::Interleaved);
    assert_eq!(unsigned::Model::KEYS, Keys::Interleaved);
    assert_eq!(small_integer::Model::KEYS, Keys::SingleWriter);
    assert_eq!(newtype::Model::KEYS, Keys::Interleaved);
}

#[test]
fn a_key_that_the_application_draws_is_natural() {
    assert_eq!(integer_of_the_application::Model::KEYS, Keys::Natural);
    assert_eq!(uuid::Model::KEYS, Keys::Natural);
    assert_eq!(uuid_by_path::Model::KEYS, Keys::Natural);
    assert_eq!(string::Model::KEYS, Keys::Natural);
    assert_eq!(bytes::Model::KEYS, Keys::Natural);
    assert_eq!(composite::Model::KEYS, Keys::Natural);
}

/// What a macro fills in counts as what stands there.
macro_rules! filled_in {
    ($resource:literal, $keys:literal, $event:literal, $drawn:literal) => {
        pub mod filled_in {
            use jsb_runtime::prelude::*;
            use sea_orm::entity::prelude::*;

            #[derive(Clone, Debug, PartialEq, DeriveEntityModel, Syncable)]
            #[sea_orm(table_name = "rows")]
            #[syncable(resource = $resource, keys = $keys)]
            pub struct Model {
                #[sea_orm(primary_key, auto_increment = $drawn, column_name = "id")]
                pub id: i64,
                pub updated_at: DateTimeUtc,
            }

            #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
            pub enum Relation {}

            #[handler(resource = $resource, event = $event)]
            async fn hear(_: &Event<Model>, _: &HandlerContext<'_>) -> HandlerResult {
                Ok(())
            }
        }
    };
}

filled_in!("filled_in", "single_writer", "created", true);

#[test]
fn what_a_macro_fills_in_is_read() {
    assert_eq!((filled_in::Model::RESOURCE, filled_in::Model::KEYS), ("filled_in", Keys::SingleWriter));
}
