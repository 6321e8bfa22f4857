use chrono::Local;
use serde_json::json;

use super::*;

fn moment() -> DateTime<Utc> {
    Utc.timestamp_nanos(1_763_756_611_306_124_999)
}

/// A value of every type that travels, with its form on the wire.
fn values() -> Vec<(Value, Json)> {
    let cut = moment().trunc_subsecs(6);
    let offset_time = offset(cut).expect("a time in range");
    let (date, time) = (cut.date_naive(), cut.time());
    let stamp = "2025-11-21T20:23:31.306124Z";
    vec![
        (Value::Bool(Some(true)), json!(true)),
        (Value::TinyInt(Some(i8::MIN)), json!(-128)),
        (Value::SmallInt(Some(i16::MIN)), json!(-32_768)),
        (Value::Int(Some(i32::MIN)), json!(-2_147_483_648_i64)),
        (Value::BigInt(Some(i64::MIN)), json!(i64::MIN)),
        (Value::TinyUnsigned(Some(u8::MAX)), json!(255)),
        (Value::SmallUnsigned(Some(u16::MAX)), json!(65_535)),
        (Value::Unsigned(Some(u32::MAX)), json!(4_294_967_295_u32)),
        (Value::BigUnsigned(Some(i64::MAX.unsigned_abs())), json!(i64::MAX)),
        (Value::Float(Some(0.1)), json!(0.1)),
        (Value::Double(Some(1e-300)), json!(1e-300)),
        (Value::String(Some("é\0\u{1F980}".to_owned())), json!("é\0\u{1F980}")),
        (Value::Char(Some('é')), json!("é")),
        (Value::Bytes(Some(vec![0, 255, 62])), json!("AP8+")),
        (Value::Json(Some(Box::new(json!({"a": [1, null]})))), json!({"a": [1, null]})),
        (Value::ChronoDate(Some(date)), json!("2025-11-21")),
        (Value::ChronoTime(Some(time)), json!("20:23:31.306124")),
        (Value::ChronoDateTime(Some(cut.naive_utc())), json!(stamp)),
        (Value::ChronoDateTimeUtc(Some(cut)), json!(stamp)),
        (Value::ChronoDateTimeLocal(Some(cut.with_timezone(&Local))), json!(stamp)),
        (Value::ChronoDateTimeWithTimeZone(Some(cut.fixed_offset())), json!(stamp)),
        (Value::TimeDate(time_date(date)), json!("2025-11-21")),
        (Value::TimeTime(time_time(time)), json!("20:23:31.306124")),
        (Value::TimeDateTime(Some(without_offset(offset_time))), json!(stamp)),
        (Value::TimeDateTimeWithTimeZone(Some(offset_time)), json!(stamp)),
        (Value::Uuid(Some(Uuid::nil())), json!("00000000-0000-0000-0000-000000000000")),
        (Value::Decimal(Some(Decimal::new(-1_230, 3))), json!("-1.230")),
    ]
}

#[test]
fn every_type_has_a_form_and_comes_back_from_it() {
    for (value, form) in values() {
        assert_eq!(to_json(value.clone()), Ok(form.clone()), "{value:?}");
        assert_eq!(from_json(&form, &value.array_type()), Some(value));
    }
}

#[test]
fn null_is_null_of_every_type() {
    for (value, _) in values() {
        assert_eq!(to_json(value.as_null()), Ok(Json::Null));
        assert_eq!(from_json(&Json::Null, &value.array_type()), Some(value.as_null()));
    }
}

#[test]
fn timestamps_are_cut_not_rounded() {
    let (fine, cut_off) = (moment(), moment().trunc_subsecs(6));
    assert_eq!(cut(fine.into()), cut_off.into());
    assert_eq!(cut(fine.naive_utc().into()), cut_off.naive_utc().into());
    let fine = OffsetDateTime::from_unix_timestamp_nanos(fine.timestamp_nanos_opt().expect("in range").into());
    assert_eq!(cut(fine.expect("in range").into()), offset(cut_off).expect("in range").into());
}

#[test]
fn numbers_that_json_does_not_have_are_refused() {
    for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert!(to_json(Value::Double(Some(number))).is_err());
        assert!(to_json(Value::Float(Some(number as f32))).is_err());
    }
}

#[test]
fn what_does_not_fit_the_column_is_no_value() {
    let unfit = [
        (json!(40_000), ArrayType::SmallInt),
        (json!(-1), ArrayType::Unsigned),
        (json!(1.5), ArrayType::BigInt),
        (json!("1"), ArrayType::BigInt),
        (json!(1), ArrayType::String),
        (json!("ab"), ArrayType::Char),
        (json!("not base64!"), ArrayType::Bytes),
        (json!("2025-02-30"), ArrayType::ChronoDate),
        (json!("yesterday"), ArrayType::ChronoDateTimeUtc),
        (json!("no uuid"), ArrayType::Uuid),
        (json!("1,5"), ArrayType::Decimal),
    ];
    for (json, column) in unfit {
        assert_eq!(from_json(&json, &column), None, "{json} as {column:?}");
    }
}

#[test]
fn foreign_timestamps_may_lack_a_zone_or_a_fraction() {
    let second = Utc.timestamp_opt(1_763_756_611, 0).single();
    for text in [
        "2025-11-21T20:23:31Z",
        "2025-11-21T20:23:31.000Z",
        "2025-11-21 20:23:31",
        "2025-11-21T20:23:31.0000000001",
        "2025-11-21T22:23:31+02:00",
    ] {
        assert_eq!(parse_time(text).ok(), second, "{text}");
    }
}

#[test]
fn foreign_decimals_may_be_numbers() {
    assert_eq!(from_json(&json!(1.25), &ArrayType::Decimal), Some(Value::Decimal(Some(Decimal::new(125, 2)))));
}
