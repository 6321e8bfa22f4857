//! The same forms as PostgreSQL writes them, for a payload that is made of a row where the row is.

use sea_orm::sea_query::ArrayType;

use super::MAX_NESTING;

/// The most digits that every reader of a decimal keeps.
const MAX_DIGITS: usize = 28;

/// A column's value as JSON text, in SQL.
pub(crate) struct JsonText {
    /// The text, or what becomes it as an argument of `format`.
    pub(crate) text: String,
    /// What holds where the value has this form and no other: not where it is NULL in a column that is none.
    pub(crate) has_form: Option<String>,
}

/// The value of `column`, an SQL expression; `None` for types that only [`to_json`](super::to_json) knows.
pub(crate) fn json_text(column: &str, of: &ArrayType, nullable: bool) -> Option<JsonText> {
    let (text, has_form) = match of {
        ArrayType::SmallInt | ArrayType::Int | ArrayType::BigInt => (column.to_owned(), None),
        ArrayType::Bool => (format!("{column}::text"), None),
        ArrayType::String | ArrayType::Enum(_) | ArrayType::Uuid => (format!("to_json({column})"), None),
        ArrayType::Float | ArrayType::Double => (
            // A whole number reads as a floating one all the same.
            format!("({column}::text || CASE WHEN {column}::text ~ '[.e]' THEN '' ELSE '.0' END)"),
            Some(format!("{column} NOT IN ('NaN', 'Infinity', '-Infinity')")),
        ),
        ArrayType::Decimal => {
            (format!("to_json({column}::text)"), Some(format!("{column}::text ~ '^[0-9.-]{{1,{MAX_DIGITS}}}$'")))
        }
        ArrayType::Bytes => (format!("to_json(translate(encode({column}, 'base64'), chr(10), ''))"), None),
        ArrayType::Json => (column.to_owned(), Some(is_json_on_wire(column, nullable))),
        ArrayType::ChronoDate | ArrayType::TimeDate => {
            (format!("to_json({column})"), Some(format!("{column} BETWEEN '0001-01-01' AND '9999-12-31'")))
        }
        ArrayType::ChronoTime | ArrayType::TimeTime => {
            (format!(r#"to_char({column}::interval, E'\\"HH24:MI:SS.US\\"')"#), Some(format!("{column} < '24:00'")))
        }
        ArrayType::ChronoDateTime | ArrayType::TimeDateTime => (timestamp(column), Some(is_on_wire(column, ""))),
        ArrayType::ChronoDateTimeUtc
        | ArrayType::ChronoDateTimeLocal
        | ArrayType::ChronoDateTimeWithTimeZone
        | ArrayType::TimeDateTimeWithTimeZone => {
            (timestamp(&format!("({column} AT TIME ZONE 'UTC')")), Some(is_on_wire(column, "Z")))
        }
        _ => return None,
    };
    Some(if nullable {
        let has_form = has_form.map(|has_form| format!("({has_form}) IS NOT FALSE"));
        JsonText { text: format!("coalesce({text}::text, 'null')"), has_form }
    } else {
        JsonText { text, has_form: Some(has_form.unwrap_or_else(|| format!("{column} IS NOT NULL"))) }
    })
}

/// Whether JSON is not nested too deep: it has too few brackets for that, or else is looked through. And since a payload has one
/// null only, a nullable column must hold no other.
fn is_json_on_wire(column: &str, nullable: bool) -> String {
    let is_flat = format!("length({column}::text) - length(translate({column}::text, '[{{', '')) <= {MAX_NESTING}");
    // Strictly, or a list would stand for its members.
    let is_deep = format!(
        "jsonb_path_exists({column}::jsonb, 'strict $.**{{{MAX_NESTING}}} ? (@.type() == \"array\" || @.type() == \"object\")')"
    );
    let fits = format!("({is_flat} OR NOT {is_deep})");
    if nullable { format!(r"{fits} AND btrim({column}::text, E' \t\n\r') <> 'null'") } else { fits }
}

/// Whether a timestamp, of this zone if it has one, lies in the years that the wire has.
fn is_on_wire(time: &str, zone: &str) -> String {
    format!("{time} BETWEEN '0001-01-01 00:00:00{zone}' AND '9999-12-31 23:59:59.999999{zone}'")
}

fn timestamp(utc: &str) -> String {
    format!(r#"to_char({utc}, E'\\"YYYY-MM-DD"T"HH24:MI:SS.US"Z"\\"')"#)
}
