//! What an event says of a row.

use sea_orm::sea_query::{ArrayType, Value};
use serde_json::Value as Json;

use super::{Column, Schema, Values};
use crate::causes::shortened;
use crate::event::Envelope;
use crate::payload::{self, PayloadError};
use crate::row;
use crate::version::Version;

/// What an event says of its row, read and found to be of the columns' types.
pub(crate) struct Said {
    pub(crate) key: Vec<Value>,
    /// The key's text.
    pub(crate) id: String,
    pub(crate) version: Version,
    /// The fields that the event carries, the key, and the version; of a delete none.
    pub(crate) values: Values,
}

impl Schema {
    pub(crate) fn said_by(&self, event: &Envelope) -> Result<Said, PayloadError> {
        let (version, (key, id)) = (self.version_in(event)?, self.key_in(event)?);
        let values = match event.deletes() {
            // What else the row held is neither needed nor held against it.
            true => vec![None; self.columns.len()],
            false => self.values_in(event, &key, version)?,
        };
        Ok(Said { key, id, version, values })
    }

    /// The values of all fields that an event carries, of its key and of its version.
    pub(crate) fn values_of(&self, event: &Envelope) -> Result<Values, PayloadError> {
        self.values_in(event, &self.key_in(event)?.0, self.version_in(event)?)
    }

    /// The key that an event speaks of, and its text: from its payload, or for a single column from its `resource_id`.
    pub(crate) fn key_in(&self, event: &Envelope) -> Result<(Vec<Value>, String), PayloadError> {
        let part = |column: &Column| match event.payload.get(column.field) {
            Some(json) => column.value_in(json),
            None if self.key.len() == 1 => column.value_of(&event.resource_id),
            None => Err(PayloadError::NoKey(column.field.to_owned())),
        };
        let key = self.key.iter().map(|place| part(&self.columns[*place])).collect::<Result<Vec<_>, _>>()?;
        let id = row::resource_id(key.iter().cloned());
        // A save here is refused such a key too.
        if row::is_too_long(&id) { Err(PayloadError::KeyTooLong) } else { Ok((key, id)) }
    }

    /// Whether a field of a payload is of the key, or the version.
    pub(crate) fn identifies(&self, field: &str) -> bool {
        let mut places = self.key.iter().chain([&self.version]);
        places.any(|place| self.columns[*place].field == field)
    }

    /// The version that an event carries; when it happened, where the payload has none.
    pub(crate) fn version_in(&self, event: &Envelope) -> Result<Version, PayloadError> {
        let column = &self.columns[self.version];
        match event.payload.get(column.field) {
            None | Some(Json::Null) => Ok(Version::at(event.occurred_at)),
            Some(found) => {
                let time = found.as_str().and_then(|text| payload::parse_time(text).ok());
                time.map(Version::at).ok_or_else(|| column.unfit(found, "timestamp".to_owned()))
            }
        }
    }

    fn values_in(&self, event: &Envelope, key: &[Value], version: Version) -> Result<Values, PayloadError> {
        let fields = event.payload.as_object().ok_or(PayloadError::NotAnObject)?;
        let value = |column: &Column| fields.get(column.field).map(|json| column.value_in(json)).transpose();
        let mut values = self.columns.iter().map(value).collect::<Result<Values, _>>()?;
        for (place, value) in self.key.iter().zip(key) {
            values[*place] = Some(value.clone());
        }
        values[self.version] = Some((self.types.version_value)(version));
        (self.types.conform)(&mut values).map_err(|(place, error)| {
            let column = &self.columns[place];
            match fields.get(column.field) {
                Some(json) => column.unfit(json, format!("value of this column ({error})")),
                None => PayloadError::NoKey(column.field.to_owned()),
            }
        })?;
        Ok(values)
    }
}

impl Column {
    fn value_in(&self, json: &Json) -> Result<Value, PayloadError> {
        if json.is_null() && matches!(self.of, ArrayType::Json) && !self.is_nullable {
            return Ok(Value::Json(Some(Box::new(Json::Null))));
        }
        payload::from_json(json, &self.of).ok_or_else(|| self.unfit(json, format!("{:?}", self.of)))
    }

    /// A part of a key from its text: as a string, or as a number where the column takes none.
    fn value_of(&self, text: &str) -> Result<Value, PayloadError> {
        self.value_in(&Json::from(text)).or_else(|error| {
            let number = text.parse().map(Json::Number).map_err(|_| error)?;
            self.value_in(&number)
        })
    }

    fn unfit(&self, json: &Json, expected: String) -> PayloadError {
        PayloadError::Field { field: self.field.to_owned(), found: shortened(&json.to_string(), 80), expected }
    }
}
