//! A column of every type.

use jsb_runtime::prelude::*;
use sea_orm::entity::prelude::*;

/// A row of everything.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Syncable)]
#[sea_orm(table_name = "specimens")]
#[syncable(resource = "specimen")]
#[allow(missing_docs, reason = "the columns say it")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub small: i16,
    pub int: i32,
    pub big: i64,
    pub single: f32,
    pub double: f64,
    pub flag: bool,
    pub text: String,
    pub bytes: Vec<u8>,
    pub uuid: Uuid,
    #[sea_orm(column_type = "Decimal(Some((15, 4)))")]
    pub decimal: Decimal,
    pub json: Json,
    pub mood: Mood,
    pub grade: Grade,
    pub size: Size,
    pub shape: Shape,
    pub date: Date,
    pub time: Time,
    pub naive: DateTime,
    pub utc: DateTimeUtc,
    pub zoned: DateTimeWithTimeZone,
    pub time_date: TimeDate,
    pub time_time: TimeTime,
    pub time_naive: TimeDateTime,
    pub time_zoned: TimeDateTimeWithTimeZone,
    pub updated_at: DateTimeUtc,
}

/// None.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

/// An enum stored as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text")]
#[allow(missing_docs, reason = "the variants say it")]
pub enum Mood {
    #[sea_orm(string_value = "very glad")]
    Glad,
    #[sea_orm(string_value = "sad")]
    Sad,
}

/// An enum stored as a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "i32", db_type = "Integer")]
#[allow(missing_docs, reason = "the variants say it")]
pub enum Grade {
    #[sea_orm(num_value = 1)]
    First,
    #[sea_orm(num_value = -2)]
    Second,
}

/// An enum that PostgreSQL has as a type of its own, and SeaORM as a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Enum", enum_name = "size")]
#[allow(missing_docs, reason = "the variants say it")]
pub enum Size {
    #[sea_orm(string_value = "small")]
    Small,
    #[sea_orm(string_value = "very large")]
    Large,
}

/// The same as SeaORM has it by default.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(db_type = "Enum", enum_name = "shape")]
#[allow(missing_docs, reason = "the variants say it")]
pub enum Shape {
    #[sea_orm(string_value = "round")]
    Round,
    #[sea_orm(string_value = "not round")]
    Edged,
}
