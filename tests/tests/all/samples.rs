//! Rows of everything.

use chrono::{DateTime, NaiveDate, NaiveTime, TimeZone, Utc};
use jsb_tests::entities::specimen::{Grade, Mood, Shape, Size};
use jsb_tests::entities::{gap, specimen};
use rust_decimal::Decimal;
use serde_json::json;
use time::{Date, Month, OffsetDateTime, PrimitiveDateTime, Time, UtcOffset};
use uuid::Uuid;

/// A row whose every value is hard to carry, with a key of its own.
pub(crate) fn specimen() -> specimen::Model {
    let utc =
        Utc.with_ymd_and_hms(1969, 12, 31, 23, 59, 59).single().expect("a time") + chrono::TimeDelta::microseconds(1);
    let zone = chrono::FixedOffset::east_opt(5 * 3_600 + 45 * 60).expect("Nepal");
    let date = Date::from_calendar_date(2024, Month::February, 29).expect("a leap day");
    let time = Time::from_hms_micro(23, 59, 59, 999_999).expect("a time");
    specimen::Model {
        id: Uuid::now_v7(),
        small: i16::MIN,
        int: i32::MAX,
        big: i64::MIN,
        single: 0.1,
        double: 0.1 + 0.2,
        flag: true,
        text: "line\r\nbreak \"quoted\" \\ 'single' \u{1F980} e\u{301} \u{202E}".to_owned(),
        bytes: (0..=255).collect(),
        uuid: Uuid::nil(),
        decimal: Decimal::new(-123_456_789_012_345, 4),
        json: json!({"nested": [1, 2.5, null, {"deep": ["é", true]}], "empty": {}, "big": i64::MAX}),
        mood: Mood::Glad,
        grade: Grade::Second,
        size: Size::Large,
        shape: Shape::Edged,
        date: NaiveDate::from_ymd_opt(1, 1, 1).expect("a date"),
        time: NaiveTime::from_hms_micro_opt(0, 0, 0, 1).expect("a time"),
        naive: utc.naive_utc(),
        utc,
        zoned: utc.with_timezone(&zone),
        time_date: date,
        time_time: time,
        time_naive: PrimitiveDateTime::new(date, time),
        time_zoned: OffsetDateTime::new_in_offset(date, time, UtcOffset::from_hms(-3, -30, 0).expect("Newfoundland")),
        updated_at: DateTime::UNIX_EPOCH,
    }
}

/// The same in nullable columns.
pub(crate) fn full_gap() -> gap::Model {
    let full = specimen();
    gap::Model {
        id: full.id,
        small: Some(full.small),
        int: Some(full.int),
        big: Some(full.big),
        single: Some(full.single),
        double: Some(full.double),
        flag: Some(full.flag),
        text: Some(full.text),
        bytes: Some(full.bytes),
        uuid: Some(full.uuid),
        decimal: Some(full.decimal),
        json: Some(full.json),
        mood: Some(full.mood),
        grade: Some(full.grade),
        size: Some(full.size),
        shape: Some(full.shape),
        date: Some(full.date),
        time: Some(full.time),
        naive: Some(full.naive),
        utc: Some(full.utc),
        zoned: Some(full.zoned),
        time_date: Some(full.time_date),
        time_time: Some(full.time_time),
        time_naive: Some(full.time_naive),
        time_zoned: Some(full.time_zoned),
        updated_at: full.updated_at,
    }
}

/// Nothing.
pub(crate) fn empty_gap() -> gap::Model {
    gap::Model {
        id: Uuid::now_v7(),
        small: None,
        int: None,
        big: None,
        single: None,
        double: None,
        flag: None,
        text: None,
        bytes: None,
        uuid: None,
        decimal: None,
        json: None,
        mood: None,
        grade: None,
        size: None,
        shape: None,
        date: None,
        time: None,
        naive: None,
        utc: None,
        zoned: None,
        time_date: None,
        time_time: None,
        time_naive: None,
        time_zoned: None,
        updated_at: DateTime::UNIX_EPOCH,
    }
}
