//! A row as JSON.

use chrono::{DateTime, SecondsFormat, Utc};
use sea_orm::sea_query::sea_value_to_json_value;
use sea_orm::{EntityTrait, IdenStatic, Iterable, ModelTrait, Value};
use serde::{Serialize, Serializer};

/// Every column under its own name, so that entities need no serde.
pub(crate) struct Row<M>(pub M);

impl<M: ModelTrait> Serialize for Row<M> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let columns = <M::Entity as EntityTrait>::Column::iter();
        serializer.collect_map(columns.map(|column| (column.as_str(), json(self.0.get(column)))))
    }
}

fn json(value: Value) -> serde_json::Value {
    match value {
        Value::ChronoDateTimeUtc(Some(at)) => timestamp(at).into(),
        other => sea_value_to_json_value(&other),
    }
}

/// RFC 3339, in UTC, with microseconds even where they are zero.
pub(crate) fn timestamp(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Micros, true)
}
