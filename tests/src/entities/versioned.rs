//! One entity for each type that a version column may have, under a name of its own.

macro_rules! versioned {
    ($($(#[$doc:meta])* $module:ident: $version:ident, $table:literal, $resource:literal;)+) => {
        $($(#[$doc])*
        pub mod $module {
            use jsb_runtime::prelude::*;
            use sea_orm::entity::prelude::*;

            /// A text and the time of its last change.
            #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Syncable)]
            #[sea_orm(table_name = $table)]
            #[syncable(resource = $resource)]
            #[allow(missing_docs, reason = "the columns say it")]
            pub struct Model {
                #[sea_orm(primary_key, auto_increment = false)]
                pub id: Uuid,
                pub text: String,
                #[syncable(version)]
                pub changed_at: $version,
            }

            /// None.
            #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
            pub enum Relation {}
        })+
    };
}

versioned! {
    /// UTC by chrono.
    chrono_utc: DateTimeUtc, "versioned_chrono_utc", "chrono_utc";
    /// With a zone by chrono.
    chrono_zoned: DateTimeWithTimeZone, "versioned_chrono_zoned", "chrono_zoned";
    /// Without a zone by chrono, read as UTC.
    chrono_naive: DateTime, "versioned_chrono_naive", "chrono_naive";
    /// With a zone by `time`.
    time_zoned: TimeDateTimeWithTimeZone, "versioned_time_zoned", "time_zoned";
    /// Without a zone by `time`, read as UTC.
    time_naive: TimeDateTime, "versioned_time_naive", "time_naive";
}
