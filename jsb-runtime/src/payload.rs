//! Columns to JSON and back, by the column's own type.

pub(crate) mod postgres;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use chrono::{
    DateTime, Datelike, NaiveDate, NaiveDateTime, NaiveTime, SecondsFormat, SubsecRound, TimeZone, Timelike, Utc,
};
use rust_decimal::Decimal;
use sea_orm::sea_query::{ArrayType, Enum, OptionEnum, Value};
use serde_json::{Number, Value as Json};
use time::{OffsetDateTime, PrimitiveDateTime, UtcOffset};
use uuid::Uuid;

/// Why a column's value cannot travel, or a payload's field cannot become a column's value.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PayloadError {
    /// The payload is no JSON object.
    #[error("the payload is no JSON object")]
    NotAnObject,
    /// A field cannot become the column's type.
    #[error("field `{field}`: {found} is no {expected}")]
    Field {
        /// The field's name on the wire.
        field: String,
        /// What stands in the payload, shortened.
        found: String,
        /// The type that the column has.
        expected: String,
    },
    /// The column's type or value has no form in JSON.
    #[error("column `{column}`: {reason}")]
    Column {
        /// The column's name on the wire.
        column: String,
        /// Why it cannot travel.
        reason: String,
    },
    /// The payload lacks what identifies the row.
    #[error("the payload has no key `{0}`")]
    NoKey(String),
    /// The row's key is longer than any that is synced.
    #[error("the key is longer than {MAX_ID_BYTES} bytes")]
    KeyTooLong,
    /// The payload has not the form that a handler asks for.
    #[error("the payload does not fit: {0}")]
    Unfit(String),
    /// The payload lacks fields that a whole row needs.
    #[error("the payload lacks `{0}`")]
    Incomplete(String),
}

/// Identifiers are keys of the inbox, and PostgreSQL's index entries end at 2,704 bytes.
pub(crate) const MAX_ID_BYTES: usize = 512;

/// How deep a JSON column or a payload may nest. Of what the JSON reader takes the envelope needs some.
pub(crate) const MAX_NESTING: usize = 120;

/// Whether a value nests deeper than `levels`.
pub(crate) fn nests_deeper(json: &Json, levels: usize) -> bool {
    let deeper = |value: &Json| levels == 0 || nests_deeper(value, levels - 1);
    match json {
        Json::Array(values) => levels == 0 || values.iter().any(deeper),
        Json::Object(fields) => levels == 0 || fields.values().any(deeper),
        _ => false,
    }
}

/// Cuts a timestamp to microseconds, and takes one with an offset to UTC, so that every database stores what the event says.
pub(crate) fn cut(value: Value) -> Value {
    // A microsecond of the value's own is always in range.
    macro_rules! micros {
        ($time:ident) => {
            Some($time.replace_microsecond($time.microsecond()).unwrap_or($time))
        };
    }
    match value {
        Value::ChronoTime(Some(time)) => Value::ChronoTime(Some(time.trunc_subsecs(6))),
        Value::ChronoDateTime(Some(time)) => Value::ChronoDateTime(Some(whole_micros(time.and_utc()).naive_utc())),
        Value::ChronoDateTimeUtc(Some(time)) => Value::ChronoDateTimeUtc(Some(whole_micros(time))),
        Value::ChronoDateTimeLocal(Some(time)) => Value::ChronoDateTimeLocal(Some(whole_micros(time))),
        Value::ChronoDateTimeWithTimeZone(Some(time)) => {
            Value::ChronoDateTimeWithTimeZone(Some(whole_micros(time.to_utc()).fixed_offset()))
        }
        Value::TimeTime(Some(time)) => Value::TimeTime(micros!(time)),
        Value::TimeDateTime(Some(time)) => Value::TimeDateTime(micros!(time)),
        Value::TimeDateTimeWithTimeZone(Some(time)) => {
            let time = time.checked_to_offset(UtcOffset::UTC).unwrap_or(time);
            Value::TimeDateTimeWithTimeZone(micros!(time))
        }
        other => other,
    }
}

/// Cuts to whole microseconds; a leap second becomes the second after it, since databases know none.
fn whole_micros<Z: TimeZone>(time: DateTime<Z>) -> DateTime<Z> {
    let micros = DateTime::from_timestamp_micros(time.timestamp_micros());
    micros.map_or_else(|| time.clone(), |micros| micros.with_timezone(&time.timezone()))
}

/// A column's value in JSON, or why it has none.
#[allow(unreachable_patterns, reason = "an application may enable column types that are not known here")]
pub(crate) fn to_json(value: Value) -> Result<Json, String> {
    let json = match value {
        Value::Bool(v) => v.map(Json::from),
        Value::TinyInt(v) => v.map(Json::from),
        Value::SmallInt(v) => v.map(Json::from),
        Value::Int(v) => v.map(Json::from),
        Value::BigInt(v) => v.map(Json::from),
        Value::TinyUnsigned(v) => v.map(Json::from),
        Value::SmallUnsigned(v) => v.map(Json::from),
        Value::Unsigned(v) => v.map(Json::from),
        Value::BigUnsigned(v) => v.map(Json::from),
        // By its shortest decimal form, or 0.1 would arrive as 0.10000000149011612.
        Value::Float(v) => v.map(|v| finite(v.to_string().parse().unwrap_or(f64::NAN))).transpose()?,
        Value::Double(v) => v.map(finite).transpose()?,
        Value::String(v) => v.map(Json::from),
        Value::Enum(OptionEnum::Some(v)) => Some(v.value.to_string().into()),
        Value::Enum(OptionEnum::None(_)) => None,
        Value::Char(v) => v.map(|v| v.to_string().into()),
        Value::Bytes(v) => v.map(|v| BASE64.encode(v).into()),
        Value::Json(Some(v)) if nests_deeper(&v, MAX_NESTING) => {
            return Err(format!("it is nested deeper than {MAX_NESTING} levels"));
        }
        Value::Json(v) => v.map(|v| *v),
        Value::ChronoDate(v) => v.map(date_text).transpose()?,
        Value::ChronoTime(v) => v.map(time_text).transpose()?,
        Value::ChronoDateTime(v) => v.map(|v| timestamp(v.and_utc())).transpose()?,
        Value::ChronoDateTimeUtc(v) => v.map(timestamp).transpose()?,
        Value::ChronoDateTimeLocal(v) => v.map(|v| timestamp(v.to_utc())).transpose()?,
        Value::ChronoDateTimeWithTimeZone(v) => v.map(|v| timestamp(v.to_utc())).transpose()?,
        Value::TimeDate(v) => v.map(|v| chrono_date(v).and_then(date_text)).transpose()?,
        Value::TimeTime(v) => v.map(|v| chrono_time(v).and_then(time_text)).transpose()?,
        Value::TimeDateTime(v) => v.map(|v| chrono_utc(v.assume_utc()).and_then(timestamp)).transpose()?,
        Value::TimeDateTimeWithTimeZone(v) => v.map(|v| chrono_utc(v).and_then(timestamp)).transpose()?,
        Value::Uuid(v) => v.map(|v| v.to_string().into()),
        Value::Decimal(v) => v.map(|v| v.to_string().into()),
        // What such a value says of its type is that of its members.
        Value::Array(..) => return Err("arrays cannot be synced".to_owned()),
        other => return Err(format!("{:?} columns cannot be synced", other.array_type())),
    };
    Ok(json.unwrap_or(Json::Null))
}

fn finite(number: f64) -> Result<Json, String> {
    Number::from_f64(number).map(Json::Number).ok_or_else(|| format!("{number} has no form in JSON"))
}

fn timestamp(time: DateTime<Utc>) -> Result<Json, String> {
    let time = on_wire(whole_micros(time)).ok_or_else(|| format!("{time} {NO_FORM}"))?;
    Ok(format_time(time).into())
}

fn date_text(date: NaiveDate) -> Result<Json, String> {
    on_wire(date).map(|date| date.to_string().into()).ok_or_else(|| format!("{date} {NO_FORM}"))
}

fn time_text(time: NaiveTime) -> Result<Json, String> {
    let time = without_leap(time).ok_or_else(|| format!("{time} is a leap second, which databases do not know"))?;
    Ok(time.format("%H:%M:%S%.6f").to_string().into())
}

const NO_FORM: &str = "has no form on the wire, where years go from 0 to 9999";

/// A date in the years that RFC 3339 can write.
fn on_wire<D: Datelike>(date: D) -> Option<D> {
    (0..=9_999).contains(&date.year()).then_some(date)
}

fn without_leap(time: NaiveTime) -> Option<NaiveTime> {
    (time.nanosecond() < 1_000_000_000).then_some(time)
}

/// A field of a payload as a value of the column's type; `None` when it is none.
#[allow(unreachable_patterns, reason = "an application may enable column types that are not known here")]
pub(crate) fn from_json(json: &Json, column: &ArrayType) -> Option<Value> {
    let text = json.as_str();
    let null = json.is_null();
    /// `None` for null, else the parsed value; a failed parse leaves the whole function.
    macro_rules! value {
        ($variant:ident, $parsed:expr) => {
            Value::$variant(if null { None } else { Some($parsed?) })
        };
    }
    let value = match column {
        ArrayType::Bool => value!(Bool, json.as_bool()),
        ArrayType::TinyInt => value!(TinyInt, json.as_i64().and_then(|v| v.try_into().ok())),
        ArrayType::SmallInt => value!(SmallInt, json.as_i64().and_then(|v| v.try_into().ok())),
        ArrayType::Int => value!(Int, json.as_i64().and_then(|v| v.try_into().ok())),
        ArrayType::BigInt => value!(BigInt, json.as_i64()),
        ArrayType::TinyUnsigned => value!(TinyUnsigned, json.as_u64().and_then(|v| v.try_into().ok())),
        ArrayType::SmallUnsigned => value!(SmallUnsigned, json.as_u64().and_then(|v| v.try_into().ok())),
        ArrayType::Unsigned => value!(Unsigned, json.as_u64().and_then(|v| v.try_into().ok())),
        // Neither database holds more, and the driver panics.
        ArrayType::BigUnsigned => value!(BigUnsigned, json.as_u64().filter(|v| i64::try_from(*v).is_ok())),
        ArrayType::Float => value!(Float, json.as_number().and_then(single)),
        ArrayType::Double => value!(Double, json.as_f64()),
        ArrayType::String => value!(String, text.map(str::to_owned)),
        ArrayType::Enum(name) if null => Value::Enum(OptionEnum::None((**name).clone())),
        ArrayType::Enum(name) => Enum { type_name: (**name).clone(), value: text?.to_owned().into() }.into(),
        ArrayType::Char => value!(Char, text.and_then(only_char)),
        ArrayType::Bytes => value!(Bytes, text.and_then(|v| BASE64.decode(v).ok())),
        ArrayType::Json if nests_deeper(json, MAX_NESTING) => return None,
        ArrayType::Json => Value::Json((!null).then(|| Box::new(json.clone()))),
        ArrayType::ChronoDate => value!(ChronoDate, text.and_then(date)),
        ArrayType::ChronoTime => value!(ChronoTime, text.and_then(clock_time)),
        ArrayType::ChronoDateTime => value!(ChronoDateTime, text.and_then(utc).map(|v| v.naive_utc())),
        ArrayType::ChronoDateTimeUtc => value!(ChronoDateTimeUtc, text.and_then(utc)),
        ArrayType::ChronoDateTimeLocal => value!(ChronoDateTimeLocal, text.and_then(utc).map(Into::into)),
        ArrayType::ChronoDateTimeWithTimeZone => value!(ChronoDateTimeWithTimeZone, text.and_then(utc).map(Into::into)),
        ArrayType::TimeDate => value!(TimeDate, text.and_then(date).and_then(time_date)),
        ArrayType::TimeTime => value!(TimeTime, text.and_then(clock_time).and_then(time_time)),
        ArrayType::TimeDateTime => value!(TimeDateTime, text.and_then(utc).and_then(offset).map(without_offset)),
        ArrayType::TimeDateTimeWithTimeZone => value!(TimeDateTimeWithTimeZone, text.and_then(utc).and_then(offset)),
        ArrayType::Uuid => value!(Uuid, text.and_then(|v| Uuid::parse_str(v).ok())),
        ArrayType::Decimal => value!(Decimal, decimal(json)),
        _ => return None,
    };
    Some(cut(value))
}

fn utc(text: &str) -> Option<DateTime<Utc>> {
    parse_time(text).ok()
}

fn date(text: &str) -> Option<NaiveDate> {
    text.parse().ok().and_then(on_wire)
}

fn clock_time(text: &str) -> Option<NaiveTime> {
    text.parse().ok().and_then(without_leap)
}

fn single(number: &Number) -> Option<f32> {
    number.to_string().parse().ok().filter(|single: &f32| single.is_finite())
}

/// Why a text is no timestamp.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TimeError {
    #[error(transparent)]
    Unreadable(#[from] chrono::ParseError),
    #[error("its year is not from 0 to 9999")]
    Year,
}

/// A timestamp as the wire has it.
pub(crate) fn format_time(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// A timestamp with a zone, or without one, which is read as UTC; any precision, cut to microseconds.
pub(crate) fn parse_time(text: &str) -> Result<DateTime<Utc>, TimeError> {
    let zoned = DateTime::parse_from_rfc3339(text).map(|time| time.to_utc());
    let time = zoned.or_else(|error| {
        let naive = text.replacen(' ', "T", 1);
        naive.parse::<NaiveDateTime>().map(|time| time.and_utc()).map_err(|_| error)
    })?;
    on_wire(whole_micros(time)).ok_or(TimeError::Year)
}

fn only_char(text: &str) -> Option<char> {
    let mut chars = text.chars();
    chars.next().filter(|_| chars.next().is_none())
}

/// A decimal from a text, or from a number, as foreign producers may write it.
fn decimal(json: &Json) -> Option<Decimal> {
    let text = match json {
        Json::String(text) => text.clone(),
        Json::Number(number) => number.to_string(),
        _ => return None,
    };
    text.parse().or_else(|_| Decimal::from_scientific(&text)).ok()
}

pub(crate) fn chrono_utc(time: OffsetDateTime) -> Result<DateTime<Utc>, String> {
    i64::try_from(time.unix_timestamp_nanos() / 1_000)
        .ok()
        .and_then(DateTime::from_timestamp_micros)
        .ok_or_else(|| format!("{time} is out of range"))
}

fn chrono_date(date: time::Date) -> Result<NaiveDate, String> {
    NaiveDate::from_yo_opt(date.year(), date.ordinal().into()).ok_or_else(|| format!("{date} is out of range"))
}

fn chrono_time(time: time::Time) -> Result<NaiveTime, String> {
    let (hour, minute, second, nano) = time.as_hms_nano();
    NaiveTime::from_hms_nano_opt(hour.into(), minute.into(), second.into(), nano)
        .ok_or_else(|| format!("{time} is out of range"))
}

pub(crate) fn offset(time: DateTime<Utc>) -> Option<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(time.timestamp_micros()) * 1_000).ok()
}

pub(crate) fn without_offset(time: OffsetDateTime) -> PrimitiveDateTime {
    PrimitiveDateTime::new(time.date(), time.time())
}

fn time_date(date: NaiveDate) -> Option<time::Date> {
    time::Date::from_ordinal_date(date.year(), date.ordinal().try_into().ok()?).ok()
}

fn time_time(time: NaiveTime) -> Option<time::Time> {
    let part = |part: u32| part.try_into().ok();
    time::Time::from_hms_nano(part(time.hour())?, part(time.minute())?, part(time.second())?, time.nanosecond()).ok()
}

#[cfg(test)]
mod props;
#[cfg(test)]
mod tests;
