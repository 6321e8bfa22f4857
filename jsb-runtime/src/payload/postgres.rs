//! The same forms as PostgreSQL writes them, for a payload that is made of a row where the row is.

use sea_orm::sea_query::ArrayType;

use super::MAX_NESTING;

/// The most digits that every reader of a decimal keeps.
const MAX_DIGITS: usize = 28;

/// The value of `column`, an SQL expression, as JSON text: an SQL expression too, which is NULL where the value may have no
/// form or another one, and where it is NULL although the column is not `nullable`. `None` for types that only
/// [`to_json`](super::to_json) knows.
pub(crate) fn json_text(column: &str, of: &ArrayType, nullable: bool) -> Option<String> {
    let (has_form, form) = match of {
        ArrayType::Bool | ArrayType::SmallInt | ArrayType::Int | ArrayType::BigInt => (None, format!("{column}::text")),
        ArrayType::String | ArrayType::Enum(_) | ArrayType::Uuid => (None, format!("to_json({column})::text")),
        ArrayType::Float | ArrayType::Double => (
            Some(format!("{column} NOT IN ('NaN', 'Infinity', '-Infinity')")),
            // A whole number reads as a floating one all the same.
            format!("{column}::text || CASE WHEN {column}::text ~ '[.e]' THEN '' ELSE '.0' END"),
        ),
        ArrayType::Decimal => {
            (Some(format!("{column}::text ~ '^[0-9.-]{{1,{MAX_DIGITS}}}$'")), format!("to_json({column}::text)::text"))
        }
        ArrayType::Bytes => (None, format!("to_json(translate(encode({column}, 'base64'), chr(10), ''))::text")),
        // With so few brackets it cannot be nested too deep.
        ArrayType::Json => (
            Some(format!("length({column}::text) - length(translate({column}::text, '[{{', '')) <= {MAX_NESTING}")),
            format!("{column}::text"),
        ),
        ArrayType::ChronoDate | ArrayType::TimeDate => {
            (Some(format!("{column} BETWEEN '0001-01-01' AND '9999-12-31'")), format!("to_json({column})::text"))
        }
        ArrayType::ChronoTime | ArrayType::TimeTime => {
            (Some(format!("{column} < '24:00'")), quoted(format!("to_char({column}::interval, 'HH24:MI:SS.US')")))
        }
        ArrayType::ChronoDateTime | ArrayType::TimeDateTime => (Some(is_on_wire(column, "")), timestamp(column)),
        ArrayType::ChronoDateTimeUtc
        | ArrayType::ChronoDateTimeLocal
        | ArrayType::ChronoDateTimeWithTimeZone
        | ArrayType::TimeDateTimeWithTimeZone => {
            (Some(is_on_wire(column, "Z")), timestamp(&format!("({column} AT TIME ZONE 'UTC')")))
        }
        _ => return None,
    };
    let form = match has_form {
        Some(has_form) => format!("CASE WHEN {has_form} THEN {form} END"),
        None => form,
    };
    Some(if nullable { format!("CASE WHEN {column} IS NULL THEN 'null' ELSE {form} END") } else { form })
}

/// Whether a timestamp, of this zone if it has one, lies in the years that the wire has.
fn is_on_wire(time: &str, zone: &str) -> String {
    format!("{time} BETWEEN '0001-01-01 00:00:00{zone}' AND '9999-12-31 23:59:59.999999{zone}'")
}

fn timestamp(utc: &str) -> String {
    quoted(format!("to_char({utc}, 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"))
}

/// Text in which nothing has to be escaped.
fn quoted(text: String) -> String {
    format!("'\"' || {text} || '\"'")
}
