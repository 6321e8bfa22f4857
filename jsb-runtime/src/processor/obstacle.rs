//! What an event waits for when the database refuses it for now: a missing parent, or the holder of a unique value.

use chrono::DateTime;
use rand::distr::{Alphanumeric, SampleString};
use sea_orm::sea_query::{ArrayType, Expr, ExprTrait, TableName, TableRef, Value};
use sea_orm::{Condition, ConnectionTrait, DatabaseTransaction, QueryResult, TransactionTrait};
use serde_json::Value as Json;
use uuid::Uuid;

use crate::ask;
use crate::dialect::{self, Fault};
use crate::event::Envelope;
use crate::payload;
use crate::row::{self, RowId};
use crate::schema::{Column, Reference, Said, Schema, Values};
use crate::syncable::OnDelete;
use crate::upsert::{self, ApplyError};

/// How many rows are looked at that have the same values, of which a unique index covers one.
const MOST_HOLDERS: u64 = 100;

/// In whose way an event is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Obstacle {
    /// A row that it refers to is not here.
    Parent,
    /// Another row holds the values that it has in these columns.
    Unique(Vec<String>),
}

/// The row that an event waits for, if it can be told. It may be any of several where a unique index covers only some rows.
pub(crate) async fn blocked_by(
    db: &impl ConnectionTrait,
    schema: &Schema,
    event: &Envelope,
    obstacle: &Obstacle,
) -> Result<Vec<RowId>, ApplyError> {
    let said = schema.said_by(event)?;
    match obstacle {
        Obstacle::Parent => Ok(missing_parent(db, schema, &said).await?.into_iter().collect()),
        Obstacle::Unique(columns) => holders(db, schema, &said, columns).await,
    }
}

async fn missing_parent(db: &impl ConnectionTrait, schema: &Schema, said: &Said) -> Result<Option<RowId>, ApplyError> {
    for reference in &schema.parents {
        let Some(key) = foreign_key(schema, &said.values, reference) else { continue };
        if !exists(db, schema, reference, &key).await? {
            let (table, id) = (table_name(&reference.parent), row::resource_id(key.into_iter()));
            // A row that refers to itself is not in its own way.
            if table != schema.table || id != said.id {
                return Ok(Some(RowId { table, id }));
            }
        }
    }
    Ok(None)
}

/// An event without what refers to this row, which is to come; `None` where the columns that do may not be null.
pub(crate) fn without_reference(
    schema: &Schema,
    event: &Envelope,
    row: &RowId,
) -> Result<Option<Envelope>, ApplyError> {
    let values = schema.said_by(event)?.values;
    let refers = |reference: &&Reference| {
        let id = foreign_key(schema, &values, reference).map(|key| row::resource_id(key.into_iter()));
        table_name(&reference.parent) == row.table && id.as_ref() == Some(&row.id)
    };
    let Some(reference) = schema.parents.iter().find(refers) else { return Ok(None) };
    let places = reference.from.iter().filter_map(|name| schema.column_named(name));
    let free: Vec<&Column> = places.map(|place| &schema.columns[place]).filter(|column| column.is_nullable).collect();
    let mut event = event.clone();
    for column in &free {
        event.payload[column.field] = Json::Null;
    }
    Ok((!free.is_empty()).then_some(event))
}

/// The values of a foreign key; `None` where it is null or not known.
fn foreign_key(schema: &Schema, row: &Values, reference: &Reference) -> Option<Vec<Value>> {
    let value = |name: &String| row[schema.column_named(name)?].clone().filter(|value| *value != value.as_null());
    reference.from.iter().map(value).collect()
}

async fn exists(
    db: &impl ConnectionTrait,
    schema: &Schema,
    reference: &Reference,
    key: &[Value],
) -> Result<bool, ApplyError> {
    let mut is_parent = Condition::all();
    for ((from, to), value) in reference.from.iter().zip(&reference.to).zip(key) {
        let Some(place) = schema.column_named(from) else { return Ok(true) };
        is_parent = is_parent.add(Expr::col(to.clone()).eq(schema.bound(place, value.clone())));
    }
    Ok(ask::any(db, reference.parent.clone(), is_parent).await?)
}

fn table_name(table: &TableRef) -> String {
    match table {
        TableRef::Table(TableName(_, name), _) => name.to_string(),
        _ => String::new(),
    }
}

async fn holders(
    db: &impl ConnectionTrait,
    schema: &Schema,
    said: &Said,
    columns: &[String],
) -> Result<Vec<RowId>, ApplyError> {
    let mut same = Condition::all();
    for name in columns {
        // Without a column that stays at home they are more rows, the holder among them.
        let Some(place) = place_of(db, schema, name) else { continue };
        let Some(value) = &said.values[place] else { return Ok(Vec::new()) };
        same = same.add(schema.is(place, value));
    }
    if same.is_empty() {
        return Ok(Vec::new());
    }
    let others = same.add(schema.has_key(&said.key).not());
    let select = schema.select(schema.key.iter().copied(), others).limit(MOST_HOLDERS).to_owned();
    let mut holders = Vec::new();
    for found in db.query_all(&select).await? {
        let key = (schema.types.key_of)(&found)?;
        holders.push(RowId { table: schema.table.to_owned(), id: row::resource_id(key.into_iter()) });
    }
    Ok(holders)
}

/// Where a column of an index stands, as the database calls it; `None` for one that does not travel.
fn place_of(db: &impl ConnectionTrait, schema: &Schema, name: &str) -> Option<usize> {
    let backend = db.get_database_backend();
    schema.columns.iter().position(|column| dialect::is_same_name(backend, column.name, name))
}

/// Takes the value of a unique index from a row that is about to get another in the same transaction, by `its` event; `false` if
/// there is no way to. One column is enough: none that the event leaves as it is, and no part of the key can be it.
pub(crate) async fn move_aside(
    txn: &DatabaseTransaction,
    schema: &Schema,
    its: &Envelope,
    columns: &[String],
) -> Result<bool, ApplyError> {
    let Said { key, values, .. } = schema.said_by(its)?;
    let goes = its.deletes() && schema.on_delete == OnDelete::Apply;
    let places = columns.iter().filter_map(|name| place_of(txn, schema, name));
    let free: Vec<usize> =
        places.filter(|place| !schema.is_key(*place) && (goes || values[*place].is_some())).collect();
    if free.is_empty() {
        return Ok(false);
    }
    let select = schema.select(free.iter().copied(), schema.has_key(&key));
    let Some(here) = txn.query_one(&select).await? else { return Ok(false) };
    for place in free {
        for value in stand_ins(schema, place, &here) {
            let mut row = vec![None; schema.columns.len()];
            row[place] = Some(value);
            let savepoint = txn.begin().await?;
            match upsert::update(&savepoint, schema, row, &key).await {
                Ok(()) => {
                    savepoint.commit().await?;
                    return Ok(true);
                }
                // The database may know rules that are not known here.
                Err(error) if matches!(dialect::fault(&error), Fault::Unique | Fault::BadData | Fault::ForeignKey) => {
                    savepoint.rollback().await?;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(false)
}

/// What may stand in a column for the moment, never committed: NULL, which is seldom a conflict, or a value that nobody else has.
fn stand_ins(schema: &Schema, place: usize, here: &QueryResult) -> impl Iterator<Item = Value> {
    let column = &schema.columns[place];
    let is_reference = schema.parents.iter().any(|parent| parent.from.iter().any(|name| name == column.name));
    let null = column.is_nullable.then_some(Json::Null);
    let other = if is_reference { None } else { other_value(column, here) };
    null.into_iter().chain(other).filter_map(|json| payload::from_json(&json, &column.of))
}

/// A value that in all likelihood nobody else has, as the wire writes it. A text is as long as the one that it stands in for,
/// since a column may be narrow. Another one is drawn the next time. `None` for types that have no such values.
fn other_value(column: &Column, here: &QueryResult) -> Option<Json> {
    let any = |most: i64| Json::from(rand::random_range(1..=most));
    // As far from now as a person's life at the most.
    let time = || DateTime::from_timestamp_micros(rand::random_range(1..=4_000_000_000_000_000));
    Some(match column.of {
        ArrayType::String => {
            let text: String = here.try_get("", column.name).ok()?;
            Alphanumeric.sample_string(&mut rand::rng(), text.chars().count().max(1)).into()
        }
        ArrayType::Uuid => Uuid::new_v4().to_string().into(),
        ArrayType::BigInt | ArrayType::BigUnsigned => any(i64::MAX),
        ArrayType::Int | ArrayType::Unsigned => any(i32::MAX.into()),
        ArrayType::SmallInt | ArrayType::SmallUnsigned => any(i16::MAX.into()),
        ArrayType::ChronoDate | ArrayType::TimeDate => time()?.date_naive().to_string().into(),
        ArrayType::ChronoTime | ArrayType::TimeTime => time()?.time().to_string().into(),
        ArrayType::ChronoDateTime
        | ArrayType::ChronoDateTimeUtc
        | ArrayType::ChronoDateTimeLocal
        | ArrayType::ChronoDateTimeWithTimeZone
        | ArrayType::TimeDateTime
        | ArrayType::TimeDateTimeWithTimeZone => time()?.to_rfc3339().into(),
        _ => return None,
    })
}
