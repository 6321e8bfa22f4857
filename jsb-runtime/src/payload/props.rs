//! What a column holds comes back from the wire as the same value, and whatever is taken from it can be sent again.

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::select;

use super::*;

fn date() -> impl Strategy<Value = NaiveDate> {
    (0..=9_999, 1..=365_u32).prop_map(|(year, day)| NaiveDate::from_yo_opt(year, day).expect("a date"))
}

fn clock() -> impl Strategy<Value = NaiveTime> {
    (0..86_400_u32, 0..1_000_000_u32).prop_map(|(seconds, micros)| {
        NaiveTime::from_num_seconds_from_midnight_opt(seconds, micros * 1_000).expect("a time")
    })
}

fn moment() -> impl Strategy<Value = DateTime<Utc>> {
    (date(), clock()).prop_map(|(date, time)| date.and_time(time).and_utc())
}

fn nested() -> impl Strategy<Value = Json> {
    let number = prop_oneof![
        any::<i64>().prop_map(Json::from),
        any::<u64>().prop_map(Json::from),
        any::<f64>().prop_map(Json::from),
    ];
    let leaf =
        prop_oneof![Just(Json::Null), any::<bool>().prop_map(Json::from), number, any::<String>().prop_map(Json::from)];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Json::from),
            btree_map(any::<String>(), inner, 0..4).prop_map(|fields| serde_json::json!(fields)),
        ]
    })
}

/// A value of any type that travels.
fn value() -> impl Strategy<Value = Value> {
    let decimal = (any::<i128>(), 0..=28_u32)
        .prop_map(|(number, scale)| Decimal::try_from_i128_with_scale(number >> 32, scale).expect("96 bits"));
    let integers = prop_oneof![
        any::<i8>().prop_map(Value::from),
        any::<i16>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u8>().prop_map(Value::from),
        any::<u16>().prop_map(Value::from),
        any::<u32>().prop_map(Value::from),
        (0..=i64::MAX.unsigned_abs()).prop_map(Value::from),
    ];
    let others = prop_oneof![
        any::<bool>().prop_map(Value::from),
        any::<f32>().prop_filter("JSON has it", |v| v.is_finite()).prop_map(Value::from),
        any::<f64>().prop_filter("JSON has it", |v| v.is_finite()).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        any::<char>().prop_map(Value::from),
        vec(any::<u8>(), 0..50).prop_map(Value::from),
        any::<u128>().prop_map(|v| Value::from(Uuid::from_u128(v))),
        decimal.prop_map(Value::from),
        nested().prop_filter("null is none", |v| !v.is_null()).prop_map(Value::from),
    ];
    let times = prop_oneof![
        date().prop_map(Value::from),
        clock().prop_map(Value::from),
        moment().prop_map(|v| Value::from(v.naive_utc())),
        moment().prop_map(Value::from),
        moment().prop_map(|v| Value::from(v.with_timezone(&chrono::Local))),
        moment().prop_map(|v| Value::from(v.fixed_offset())),
        date().prop_map(|v| Value::from(time_date(v).expect("a date"))),
        clock().prop_map(|v| Value::from(time_time(v).expect("a time"))),
        moment().prop_map(|v| Value::from(without_offset(offset(v).expect("a time")))),
        moment().prop_map(|v| Value::from(offset(v).expect("a time"))),
    ];
    prop_oneof![integers, others, times]
}

const COLUMNS: [ArrayType; 26] = [
    ArrayType::Bool,
    ArrayType::TinyInt,
    ArrayType::SmallInt,
    ArrayType::Int,
    ArrayType::BigInt,
    ArrayType::TinyUnsigned,
    ArrayType::SmallUnsigned,
    ArrayType::Unsigned,
    ArrayType::BigUnsigned,
    ArrayType::Float,
    ArrayType::Double,
    ArrayType::String,
    ArrayType::Char,
    ArrayType::Bytes,
    ArrayType::Json,
    ArrayType::ChronoDate,
    ArrayType::ChronoTime,
    ArrayType::ChronoDateTime,
    ArrayType::ChronoDateTimeUtc,
    ArrayType::ChronoDateTimeWithTimeZone,
    ArrayType::TimeDate,
    ArrayType::TimeTime,
    ArrayType::TimeDateTime,
    ArrayType::TimeDateTimeWithTimeZone,
    ArrayType::Uuid,
    ArrayType::Decimal,
];

const TIMES: &[&str] = &[
    "2016-12-31T23:59:60Z",
    "2016-12-31T23:59:60.999999999+00:00",
    "23:59:60",
    "+262142-12-31T23:59:59.999999",
    "-262143-01-01T00:00:00",
    "0000-01-01T00:00:00+23:59",
    "9999-12-31T23:59:59-23:59",
];

/// JSON that comes near to what columns take.
fn near() -> impl Strategy<Value = Json> {
    let time =
        "[+-]?[0-9]{1,6}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]{0,12})?(Z|[+-][0-9]{2}:[0-9]{2})?)?";
    prop_oneof![
        nested(),
        time.prop_map(Json::from),
        "[0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]{0,12})?".prop_map(Json::from),
        "-?[0-9]{1,40}(\\.[0-9]{1,40})?([eE]-?[0-9]{1,3})?".prop_map(Json::from),
        select(TIMES).prop_map(Json::from),
    ]
}

/// Through the text, as on the wire.
fn travelled(json: &Json) -> Json {
    serde_json::from_str(&json.to_string()).expect("JSON")
}

proptest! {
    #[test]
    fn any_value_comes_back_as_the_same(value in value()) {
        let json = to_json(value.clone()).expect("a form in JSON");
        prop_assert_eq!(from_json(&travelled(&json), &value.array_type()), Some(value));
    }

    #[test]
    fn whatever_is_taken_can_be_sent_and_comes_back(json in near(), column in select(&COLUMNS[..])) {
        if let Some(value) = from_json(&json, &column) {
            let sent = to_json(value.clone());
            prop_assert!(sent.is_ok(), "{value:?}: {sent:?}");
            prop_assert_eq!(from_json(&travelled(&sent.expect("checked")), &column), Some(value));
        }
    }

    #[test]
    fn a_payload_may_nest_just_as_deep_as_is_read_on_the_other_side(levels in 1..200_usize) {
        let column = (0..levels).fold(Json::from(1), |inner, _| Json::from(vec![inner]));
        let payload = serde_json::json!({"json": column});
        let event = crate::NewEvent::new("resource", "id", "created", payload.clone());
        let fits = to_json(column.into()).is_ok();
        prop_assert_eq!(fits, levels <= MAX_NESTING);
        prop_assert_eq!(event.check().is_ok(), fits);
        if fits {
            let body = serde_json::json!({"event_id": "1", "event_type": "t", "resource_type": "r", "resource_id": "1",
                "payload": payload});
            prop_assert!(crate::Envelope::read(body.to_string().as_bytes(), None, "a").is_ok());
        }
    }
}
