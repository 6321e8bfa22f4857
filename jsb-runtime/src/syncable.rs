//! What the derive says about an entity, and nothing more: names and choices, no behaviour.

use chrono::{DateTime, FixedOffset, NaiveDateTime, Utc};
use sea_orm::sea_query::{Value, ValueType};
use sea_orm::{EntityTrait, FromQueryResult, IdenStatic, IntoActiveModel, ModelTrait, TryGetable, TryIntoModel};
use time::{OffsetDateTime, PrimitiveDateTime};

use crate::payload;
use crate::version::Version;

/// The column type of an entity whose model is `M`.
pub type ColumnOf<M> = <<M as ModelTrait>::Entity as EntityTrait>::Column;
/// The active model of an entity whose model is `M`.
pub type ActiveModelOf<M> = <<M as ModelTrait>::Entity as EntityTrait>::ActiveModel;

/// A row that is kept in sync. Write `#[derive(Syncable)]` on the entity's `Model` rather than this impl.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not kept in sync",
    label = "this model has no `#[derive(Syncable)]`",
    note = "add `#[derive(Syncable)]` and `#[syncable(resource = \"..\")]` to the entity's `Model`"
)]
pub trait Syncable:
    ModelTrait<Entity: EntityTrait<Model = Self, ActiveModel: TryIntoModel<Self> + Send + Sync>>
    + FromQueryResult
    + IntoActiveModel<ActiveModelOf<Self>>
    + 'static
{
    /// The type of the version column.
    type Version: VersionType;
    /// The entity's name on the wire, for example `organization`.
    const RESOURCE: &'static str;
    /// How this entity's keys are kept from colliding with the other side's.
    const KEYS: Keys;
    /// What a `deleted` event does here.
    const ON_DELETE: OnDelete;
    /// Whether `ActiveModelBehavior` is written by hand, so that every save has to go through it.
    const HAS_OWN_HOOKS: bool;
    /// The column that holds the row's version, in UTC and whole microseconds.
    const VERSION: ColumnOf<Self>;
    /// The columns that travel, in the order of the struct; a skipped column is not among them.
    const FIELDS: &'static [Field<ColumnOf<Self>>];
}

/// How the keys of two systems that both create rows are kept apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Keys {
    /// UUID, string and composite keys: the application draws keys that cannot collide.
    Natural,
    /// Node `k` of `n` draws only ids with `id mod n = k`.
    Interleaved,
    /// Only one system ever creates rows of this entity.
    SingleWriter,
}

/// What a `deleted` event of the other side does to the row here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnDelete {
    /// The row is deleted.
    Apply,
    /// The row stays, and deletes here are not published either. Must be the same on both sides.
    Ignore,
}

/// One column that travels.
#[derive(Clone, Copy, Debug)]
pub struct Field<C> {
    /// The column.
    pub column: C,
    rename: Option<&'static str>,
}

impl<C: IdenStatic> Field<C> {
    /// A column that travels under its own name.
    pub const fn new(column: C) -> Self {
        Self { column, rename: None }
    }

    /// A column that travels under another name.
    pub const fn renamed(column: C, name: &'static str) -> Self {
        Self { column, rename: Some(name) }
    }

    /// The field's name in the payload.
    pub fn name(&self) -> &'static str {
        self.rename.unwrap_or_else(|| self.column.as_str())
    }
}

/// A type that can hold a row's version: a point in time that every database stores to the microsecond.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot hold a row's version",
    label = "not a UTC timestamp with microseconds",
    note = "use `DateTimeUtc`, `DateTimeWithTimeZone`, `DateTime` (read as UTC), `TimeDateTimeWithTimeZone` or `TimeDateTime`"
)]
pub trait VersionType: TryGetable + ValueType + Into<Value> + sealed::Sealed {
    /// The column's value for a version.
    #[doc(hidden)]
    fn from_version(version: Version) -> Self;
    /// The version that a column's value stands for.
    #[doc(hidden)]
    fn into_version(self) -> Version;
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! version_type {
    ($ty:ty, $from_utc:expr, $to_utc:expr) => {
        impl sealed::Sealed for $ty {}
        impl VersionType for $ty {
            fn from_version(version: Version) -> Self {
                let from_utc: fn(DateTime<Utc>) -> Self = $from_utc;
                from_utc(version.time())
            }

            fn into_version(self) -> Version {
                let to_utc: fn(Self) -> DateTime<Utc> = $to_utc;
                Version::at(to_utc(self))
            }
        }
    };
}

version_type!(DateTime<Utc>, |utc| utc, |time| time);
version_type!(DateTime<FixedOffset>, |utc| utc.fixed_offset(), |time| time.to_utc());
version_type!(NaiveDateTime, |utc| utc.naive_utc(), |time| time.and_utc());
version_type!(OffsetDateTime, offset_from_utc, utc_from_offset);
version_type!(PrimitiveDateTime, primitive_from_utc, utc_from_primitive);

/// Versions lie within a year of the present or are refused, far inside what both crates can hold.
fn offset_from_utc(utc: DateTime<Utc>) -> OffsetDateTime {
    payload::offset(utc).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

fn primitive_from_utc(utc: DateTime<Utc>) -> PrimitiveDateTime {
    payload::without_offset(offset_from_utc(utc))
}

fn utc_from_primitive(time: PrimitiveDateTime) -> DateTime<Utc> {
    utc_from_offset(time.assume_utc())
}

fn utc_from_offset(time: OffsetDateTime) -> DateTime<Utc> {
    payload::chrono_utc(time).unwrap_or_default()
}
