//! The form of a value that both sides have.

use rust_decimal::RoundingStrategy;
use sea_orm::sea_query::Value;
use sea_orm::{
    ActiveModelTrait, ActiveValue, ColumnDef, ColumnTrait, ColumnType, DbErr, IdenStatic, Iterable, QueryResult,
};
use serde_json::Value as Json;

use crate::syncable::{ActiveModelOf, ColumnOf, Syncable};
use crate::{payload, row};

/// Gives every value that is about to be written the form that it has on the other side too.
///
/// # Errors
///
/// Where a value has none, such as a JSON column that cannot read what it has written.
pub(crate) fn use_common_forms<M: Syncable>(row: &mut ActiveModelOf<M>, insert: bool) -> Result<(), DbErr> {
    for column in ColumnOf::<M>::iter() {
        let written = match row.get(column) {
            ActiveValue::Set(value) => value,
            // An insert writes these too: it may be made from a whole model.
            ActiveValue::Unchanged(value) if insert => value,
            _ => continue,
        };
        row.try_set(column, common_form(written, &column.def()))?;
    }
    Ok(())
}

/// The JSON columns that travel and that are not about to be written.
pub(crate) fn unwritten_json<M: Syncable>(row: &ActiveModelOf<M>) -> Vec<ColumnOf<M>> {
    // To read a value is to copy it, which is not worth it for any other.
    row::json_columns::<M>().filter(|column| !matches!(row.get(*column), ActiveValue::Set(_))).collect()
}

/// Has an update write the JSON of these columns as it is stored: a caller's copy may be old, and what is sent is made of the
/// model, while the row may hold members that the model's type does not know.
///
/// # Errors
///
/// Where the model's type cannot read it, and so could not read the row back.
pub(crate) fn write_json_anew<M: Syncable>(
    row: &mut ActiveModelOf<M>,
    columns: &[ColumnOf<M>],
    stored: &QueryResult,
) -> Result<(), DbErr> {
    for column in columns {
        let name = column.as_str();
        let json: Option<Json> = stored.try_get("", name)?;
        let value = common_form(Value::Json(json.map(Box::new)), &column.def());
        row.try_set(*column, value)
            .map_err(|error| DbErr::Type(format!("the JSON that the row holds in `{name}`: {error}")))?;
    }
    Ok(())
}

/// Timestamps in microseconds; decimals with as many places as their column has, to which PostgreSQL rounds and SQLite does not;
/// and since a payload has one null only, a nullable column holds no other.
fn common_form(value: Value, column: &ColumnDef) -> Value {
    match (payload::cut(value), column.get_column_type()) {
        (Value::Json(Some(json)), _) if json.is_null() && column.is_null() => Value::Json(None),
        (Value::Decimal(Some(number)), ColumnType::Decimal(Some((_, places)))) => {
            Value::Decimal(Some(number.round_dp_with_strategy(*places, RoundingStrategy::MidpointAwayFromZero)))
        }
        (value, _) => value,
    }
}
