//! A synced entity's rows as payloads, keys and versions, by what the derive declared.

use sea_orm::sea_query::{ArrayType, Value, ValueType};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, Condition, EntityTrait, IdenStatic, Iterable, PrimaryKeyToColumn, QueryResult,
};
use serde_json::{Map, Value as Json};

use crate::payload::{self, MAX_ID_BYTES, PayloadError};
use crate::syncable::{ActiveModelOf, ColumnOf, Field, Syncable, VersionType};
use crate::version::Version;

/// A row by its table and its key as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RowId {
    pub(crate) table: String,
    pub(crate) id: String,
}

/// The primary key's columns, in their order.
pub(crate) fn key_columns<M: Syncable>() -> impl Iterator<Item = ColumnOf<M>> {
    <M::Entity as EntityTrait>::PrimaryKey::iter().map(PrimaryKeyToColumn::into_column)
}

/// The columns that travel and hold JSON.
pub(crate) fn json_columns<M: Syncable>() -> impl Iterator<Item = ColumnOf<M>> {
    M::FIELDS.iter().map(|field| field.column).filter(|column| holds_json::<M>(*column))
}

fn holds_json<M: Syncable>(column: ColumnOf<M>) -> bool {
    matches!(M::get_value_type(column), ArrayType::Json)
}

/// A row's payload: every field that travels. Its JSON is taken from what is `stored`, where that was read: a model may know but
/// some of the members.
pub(crate) fn payload_of<M: Syncable>(
    row: &ActiveModelOf<M>,
    stored: Option<&QueryResult>,
) -> Result<Json, PayloadError> {
    let mut payload = Map::new();
    for field in M::FIELDS {
        let form = match stored {
            Some(stored) if holds_json::<M>(field.column) => stored_json(stored, field)?,
            _ => wire_form::<M>(row, field)?,
        };
        payload.insert(field.name().to_owned(), form);
    }
    Ok(Json::Object(payload))
}

/// What a row holds in a field, as it travels.
pub(crate) fn wire_form<M: Syncable>(row: &ActiveModelOf<M>, field: &Field<ColumnOf<M>>) -> Result<Json, PayloadError> {
    let value = row.get(field.column).into_value();
    let value = value.ok_or_else(|| PayloadError::Incomplete(field.name().to_owned()))?;
    payload::to_json(value).map_err(|reason| PayloadError::Column { column: field.name().to_owned(), reason })
}

fn stored_json<C: IdenStatic>(stored: &QueryResult, field: &Field<C>) -> Result<Json, PayloadError> {
    let json = stored.try_get::<Option<Json>>("", field.column.as_str()).map_err(|error| error.to_string());
    let form = json.and_then(|json| payload::to_json(Value::Json(json.map(Box::new))));
    form.map_err(|reason| PayloadError::Column { column: field.name().to_owned(), reason })
}

/// A row's key as text: the value itself, or the parts of a composite key joined by `/`, each with `/` and `%` escaped.
pub(crate) fn resource_id(key: impl Iterator<Item = Value>) -> String {
    joined(&key.map(part_text).collect::<Vec<_>>())
}

fn joined(parts: &[String]) -> String {
    match parts {
        [single] => single.clone(),
        parts => parts.iter().map(|part| escape(part)).collect::<Vec<_>>().join("/"),
    }
}

fn part_text(part: Value) -> String {
    match payload::to_json(part) {
        Ok(Json::String(text)) => text,
        Ok(other) => other.to_string(),
        // Only types that have no JSON form get here, and the derive's key rules admit none of them.
        Err(reason) => reason,
    }
}

fn escape(part: &str) -> String {
    part.replace('%', "%25").replace('/', "%2F")
}

/// The key's values of an active model, or `None` while the database still has to draw one.
pub(crate) fn key_of<M: Syncable>(row: &ActiveModelOf<M>) -> Option<Vec<Value>> {
    key_columns::<M>().map(|column| row.get(column).into_value()).collect()
}

/// Whether a key's text, or what names a row by it, is more than an index can hold.
pub(crate) fn is_too_long(id: &str) -> bool {
    id.len() > MAX_ID_BYTES
}

/// The condition that singles out the row with this key.
pub(crate) fn has_key<M: Syncable>(key: &[Value]) -> Condition {
    key_columns::<M>().zip(key).fold(Condition::all(), |all, (column, value)| all.add(column.eq(value.clone())))
}

/// The version of a row that was read, `None` if it holds none.
pub(crate) fn version_of<M: Syncable>(row: &ActiveModelOf<M>) -> Option<Version> {
    let value = row.get(M::VERSION).into_value()?;
    <M::Version as ValueType>::try_from(value).ok().map(VersionType::into_version)
}

pub(crate) fn set_version<M: Syncable>(row: &mut ActiveModelOf<M>, version: Version) {
    row.set(M::VERSION, M::Version::from_version(version).into());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The parts of a key of so many columns, the inverse of [`joined`].
    fn parts(id: &str, columns: usize) -> Vec<String> {
        match columns {
            1 => vec![id.to_owned()],
            _ => id.split('/').map(|part| part.replace("%2F", "/").replace("%25", "%")).collect(),
        }
    }

    proptest! {
        #[test]
        fn any_key_comes_back_from_its_id(key in proptest::collection::vec("[%/25F]{0,6}|(?s:.){0,6}", 1..4)) {
            prop_assert_eq!(parts(&joined(&key), key.len()), key);
        }
    }

    #[test]
    fn a_single_key_is_its_own_id() {
        assert_eq!(resource_id([7_i64.into()].into_iter()), "7");
        assert_eq!(resource_id(["a/b%".into()].into_iter()), "a/b%");
    }

    #[test]
    fn ids_of_different_composite_keys_differ() {
        let id = |one: &str, two: &str| resource_id([one.into(), two.into()].into_iter());
        assert_eq!(id("a/b", "100%"), "a%2Fb/100%25");
        assert_ne!(id("a/b", "c"), id("a", "b/c"));
        assert_ne!(id("a%2Fb", "c"), id("a/b", "c"));
    }
}
