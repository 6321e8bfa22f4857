//! A nullable column of every type.

use jsb_runtime::prelude::*;
use sea_orm::entity::prelude::*;

use super::specimen::{Grade, Mood, Shape, Size};

/// A row of nothing, or of everything.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Syncable)]
#[sea_orm(table_name = "gaps")]
#[syncable(resource = "gap")]
#[allow(missing_docs, reason = "the columns say it")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub small: Option<i16>,
    pub int: Option<i32>,
    pub big: Option<i64>,
    pub single: Option<f32>,
    pub double: Option<f64>,
    pub flag: Option<bool>,
    pub text: Option<String>,
    pub bytes: Option<Vec<u8>>,
    pub uuid: Option<Uuid>,
    #[sea_orm(column_type = "Decimal(Some((15, 4)))", nullable)]
    pub decimal: Option<Decimal>,
    pub json: Option<Json>,
    pub mood: Option<Mood>,
    pub grade: Option<Grade>,
    pub size: Option<Size>,
    pub shape: Option<Shape>,
    pub date: Option<Date>,
    pub time: Option<Time>,
    pub naive: Option<DateTime>,
    pub utc: Option<DateTimeUtc>,
    pub zoned: Option<DateTimeWithTimeZone>,
    pub time_date: Option<TimeDate>,
    pub time_time: Option<TimeTime>,
    pub time_naive: Option<TimeDateTime>,
    pub time_zoned: Option<TimeDateTimeWithTimeZone>,
    pub updated_at: DateTimeUtc,
}

/// None.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}
