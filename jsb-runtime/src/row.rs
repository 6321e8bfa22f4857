//! A synced entity's rows as payloads and keys, and payloads as rows, by what the derive declared.

use sea_orm::sea_query::{ArrayType, Value};
use sea_orm::{
    ActiveModelTrait, ActiveValue, ColumnTrait, Condition, EntityTrait, IdenStatic, Iterable, PrimaryKeyToColumn,
    TryIntoModel,
};
use serde_json::{Map, Value as Json};

use crate::causes::shortened;
use crate::event::{Envelope, MAX_ID_BYTES};
use crate::payload::{self, PayloadError};
use crate::syncable::{ActiveModelOf, ColumnOf, Syncable, VersionType};
use crate::version::Version;

/// The primary key's columns, in their order.
pub(crate) fn key_columns<M: Syncable>() -> impl Iterator<Item = ColumnOf<M>> {
    <M::Entity as EntityTrait>::PrimaryKey::iter().map(PrimaryKeyToColumn::into_column)
}

/// Whether a column is one of the primary key's.
pub(crate) fn is_key<M: Syncable>(column: &ColumnOf<M>) -> bool {
    key_columns::<M>().any(|key| key.as_str() == column.as_str())
}

/// A row's payload: every field that travels.
pub(crate) fn payload_of<M: Syncable>(row: &ActiveModelOf<M>) -> Result<Json, PayloadError> {
    let mut payload = Map::new();
    for field in M::FIELDS {
        let json = match row.get(field.column).into_value() {
            Some(value) => payload::to_json(value)
                .map_err(|reason| PayloadError::Column { column: field.name().to_owned(), reason })?,
            None => return Err(PayloadError::Incomplete(field.name().to_owned())),
        };
        payload.insert(field.name().to_owned(), json);
    }
    Ok(Json::Object(payload))
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

/// The parts of a key of so many columns, the inverse of [`joined`].
fn parts(id: &str, columns: usize) -> Vec<String> {
    match columns {
        1 => vec![id.to_owned()],
        _ => id.split('/').map(|part| part.replace("%2F", "/").replace("%25", "%")).collect(),
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

/// The key that an event speaks of: from its payload, or for a single column from its `resource_id`.
pub(crate) fn key_in<M: Syncable>(event: &Envelope) -> Result<Vec<Value>, PayloadError> {
    key_and_id_in::<M>(event).map(|(key, _)| key)
}

/// The key that an event speaks of, and its text.
pub(crate) fn key_and_id_in<M: Syncable>(event: &Envelope) -> Result<(Vec<Value>, String), PayloadError> {
    let single = key_columns::<M>().count() == 1;
    let key = key_columns::<M>()
        .map(|column| {
            let name = field_name::<M>(column);
            match event.payload.get(name) {
                Some(json) => value_in::<M>(column, name, json),
                None if single => part_value::<M>(column, &event.resource_id),
                None => Err(PayloadError::NoKey(name.to_owned())),
            }
        })
        .collect::<Result<Vec<_>, _>>()?;
    let id = resource_id(key.iter().cloned());
    // A save here is refused such a key too.
    if is_too_long(&id) { Err(PayloadError::KeyTooLong) } else { Ok((key, id)) }
}

/// Whether a key's text, or what names a row by it, is more than an index can hold.
pub(crate) fn is_too_long(id: &str) -> bool {
    id.len() > MAX_ID_BYTES
}

/// A column's name in the payload.
pub(crate) fn field_name<M: Syncable>(column: ColumnOf<M>) -> &'static str {
    let field = M::FIELDS.iter().find(|field| field.column.as_str() == column.as_str());
    field.map_or_else(|| column.as_str(), Field::name)
}

fn value_in<M: Syncable>(column: ColumnOf<M>, name: &str, json: &Json) -> Result<Value, PayloadError> {
    let expected = M::get_value_type(column);
    if json.is_null() && matches!(expected, ArrayType::Json) && !column.def().is_null() {
        return Ok(Value::Json(Some(Box::new(Json::Null))));
    }
    payload::from_json(json, &expected).ok_or_else(|| unfit(name, json, format!("{expected:?}")))
}

fn unfit(name: &str, json: &Json, expected: String) -> PayloadError {
    PayloadError::Field { field: name.to_owned(), found: shortened(&json.to_string(), 80), expected }
}

/// The key that a resource id stands for, the inverse of [`resource_id`].
pub(crate) fn key_from_id<M: Syncable>(id: &str) -> Result<Vec<Value>, PayloadError> {
    let columns: Vec<_> = key_columns::<M>().collect();
    let parts = parts(id, columns.len());
    columns.into_iter().zip(parts).map(|(column, part)| part_value::<M>(column, &part)).collect()
}

/// A part of a key from its text: as a string, or as a number where the column takes none.
fn part_value<M: Syncable>(column: ColumnOf<M>, text: &str) -> Result<Value, PayloadError> {
    let name = field_name::<M>(column);
    value_in::<M>(column, name, &Json::from(text)).or_else(|error| {
        let number = text.parse().map(Json::Number).map_err(|_| error)?;
        value_in::<M>(column, name, &number)
    })
}

/// The condition that singles out the row with this key.
pub(crate) fn has_key<M: Syncable>(key: &[Value]) -> Condition {
    key_columns::<M>().zip(key).fold(Condition::all(), |all, (column, value)| all.add(column.eq(value.clone())))
}

/// What an event says of a row: the fields that it carries, the key, and the version.
pub(crate) fn active_model_in<M: Syncable>(event: &Envelope) -> Result<ActiveModelOf<M>, PayloadError> {
    active_model_with::<M>(event, key_in::<M>(event)?, version_in::<M>(event)?)
}

/// As [`active_model_in`], where key and version are known already.
pub(crate) fn active_model_with<M: Syncable>(
    event: &Envelope,
    key: Vec<Value>,
    version: Version,
) -> Result<ActiveModelOf<M>, PayloadError> {
    let fields = event.payload.as_object().ok_or(PayloadError::NotAnObject)?;
    let mut row = <ActiveModelOf<M> as ActiveModelTrait>::default();
    for field in M::FIELDS {
        if let Some(json) = fields.get(field.name()) {
            set::<M>(&mut row, field.column, field.name(), json)?;
        }
    }
    for (column, value) in key_columns::<M>().zip(key) {
        row.try_set(column, value).map_err(|_| PayloadError::NoKey(field_name::<M>(column).to_owned()))?;
    }
    set_version::<M>(&mut row, version);
    Ok(row)
}

fn set<M: Syncable>(
    row: &mut ActiveModelOf<M>,
    column: ColumnOf<M>,
    name: &str,
    json: &Json,
) -> Result<(), PayloadError> {
    let value = value_in::<M>(column, name, json)?;
    row.try_set(column, value).map_err(|error| unfit(name, json, format!("value of this column ({error})")))
}

/// The version that an event carries; when it happened, where the payload has none.
pub(crate) fn version_in<M: Syncable>(event: &Envelope) -> Result<Version, PayloadError> {
    let name = field_name::<M>(M::VERSION);
    match event.payload.get(name) {
        None | Some(Json::Null) => Ok(Version::at(event.occurred_at)),
        Some(found) => {
            let time = found.as_str().and_then(|text| payload::parse_time(text).ok());
            time.map(Version::at).ok_or_else(|| unfit(name, found, "timestamp".to_owned()))
        }
    }
}

/// The version of a row that was read, `None` if it holds none.
pub(crate) fn version_of<M: Syncable>(row: &ActiveModelOf<M>) -> Option<Version> {
    let value = row.get(M::VERSION).into_value()?;
    let json = payload::to_json(value).ok()?;
    payload::parse_time(json.as_str()?).ok().map(Version::at)
}

pub(crate) fn set_version<M: Syncable>(row: &mut ActiveModelOf<M>, version: Version) {
    row.set(M::VERSION, M::Version::from_version(version).into());
}

/// A whole model out of an event, for typed handlers; skipped columns hold their type's default.
pub(crate) fn model_in<M: Syncable>(event: &Envelope) -> Result<M, PayloadError> {
    let mut row = <ActiveModelOf<M> as ActiveModelTrait>::default_values();
    let known = active_model_in::<M>(event)?;
    for field in M::FIELDS {
        match known.get(field.column) {
            ActiveValue::Set(value) | ActiveValue::Unchanged(value) => row.set(field.column, value),
            ActiveValue::NotSet => return Err(PayloadError::Incomplete(field.name().to_owned())),
        }
    }
    row.try_into_model().map_err(|error| PayloadError::Unfit(error.to_string()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

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
