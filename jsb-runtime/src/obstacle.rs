//! What an event waits for when the database refuses it for now: a missing parent, or the holder of a unique value.

use sea_orm::sea_query::{ArrayType, ColumnType, Expr, ExprTrait, Query, StringLen, TableName, TableRef, Value};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, Condition, ConnectionTrait, DatabaseTransaction, EntityName, EntityTrait,
    IdenStatic, Identity, Iterable, QueryFilter, RelationDef, RelationTrait,
};
use serde_json::Value as Json;
use uuid::Uuid;

use crate::event::Envelope;
use crate::syncable::{ActiveModelOf, ColumnOf, Syncable};
use crate::upsert::ApplyError;
use crate::{payload, row};

/// In whose way an event is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Obstacle {
    /// A row that it refers to is not here.
    Parent,
    /// Another row holds the values that it has in these columns.
    Unique(Vec<String>),
}

/// A row by its table and its key as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RowId {
    pub(crate) table: String,
    pub(crate) id: String,
}

/// The row that an event waits for, if it can be told.
pub(crate) async fn blocked_by<M: Syncable>(
    txn: &DatabaseTransaction,
    event: &Envelope,
    obstacle: &Obstacle,
) -> Result<Option<RowId>, ApplyError> {
    let row = row::active_model_in::<M>(event)?;
    match obstacle {
        Obstacle::Parent => missing_parent::<M>(txn, &row).await,
        Obstacle::Unique(columns) => holder::<M>(txn, &row, columns).await,
    }
}

async fn missing_parent<M: Syncable>(
    txn: &DatabaseTransaction,
    row: &ActiveModelOf<M>,
) -> Result<Option<RowId>, ApplyError> {
    for parent in relations::<M>().into_iter().filter(|relation| !relation.is_owner) {
        let Some(key) = foreign_key::<M>(row, &parent.from_col) else { continue };
        if !exists(txn, &parent, &key).await? {
            return Ok(Some(RowId { table: table_name(&parent.to_tbl), id: row::resource_id(key.into_iter()) }));
        }
    }
    Ok(None)
}

/// Collected, since the iterator itself cannot be kept across an await.
fn relations<M: Syncable>() -> Vec<RelationDef> {
    <M::Entity as EntityTrait>::Relation::iter().map(|relation| relation.def()).collect()
}

/// The values of a foreign key; `None` where it is null or not known.
fn foreign_key<M: Syncable>(row: &ActiveModelOf<M>, columns: &Identity) -> Option<Vec<Value>> {
    let value = |name: &str| row.get(column_named::<M>(name)?).into_value().filter(|value| *value != value.as_null());
    columns.iter().map(|name| value(&name.to_string())).collect()
}

fn column_named<M: Syncable>(name: &str) -> Option<ColumnOf<M>> {
    ColumnOf::<M>::iter().find(|column| column.as_str() == name)
}

async fn exists(txn: &DatabaseTransaction, parent: &RelationDef, key: &[Value]) -> Result<bool, ApplyError> {
    let mut select = Query::select();
    select.expr(Expr::val(1)).from(parent.to_tbl.clone());
    for (name, value) in parent.to_col.iter().zip(key) {
        select.and_where(Expr::col(name.clone()).eq(value.clone()));
    }
    Ok(txn.query_one(&select).await?.is_some())
}

fn table_name(table: &TableRef) -> String {
    match table {
        TableRef::Table(TableName(_, name), _) => name.to_string(),
        _ => String::new(),
    }
}

async fn holder<M: Syncable>(
    txn: &DatabaseTransaction,
    row: &ActiveModelOf<M>,
    columns: &[String],
) -> Result<Option<RowId>, ApplyError> {
    let mut same = Condition::all();
    for name in columns {
        let value = column_named::<M>(name).and_then(|column| Some((column, row.get(column).into_value()?)));
        let Some((column, value)) = value else { return Ok(None) };
        same = same.add(column.eq(value));
    }
    if columns.is_empty() {
        return Ok(None);
    }
    let found = M::Entity::find().filter(same).one(txn).await?;
    let id = found.map(|found| row::resource_id(row::key_columns::<M>().map(|column| found.get(column))));
    Ok(id.map(|id| RowId { table: M::Entity::default().table_name().to_owned(), id }))
}

/// Takes the values of unique columns from a row that is about to get others in the same transaction.
pub(crate) async fn move_aside<M: Syncable>(
    txn: &DatabaseTransaction,
    id: &str,
    columns: &[String],
) -> Result<(), ApplyError> {
    let key = row::key_from_id::<M>(id)?;
    let mut row = <ActiveModelOf<M> as ActiveModelTrait>::default();
    for column in columns.iter().filter_map(|name| column_named::<M>(name)) {
        if let Some(value) = stand_in::<M>(column) {
            row.set(column, value);
        }
    }
    M::Entity::update_many().set(row).filter(row::has_key::<M>(&key)).exec(txn).await?;
    Ok(())
}

/// A value that nobody else has: none at all where the column allows it, else one of its type. Never committed.
fn stand_in<M: Syncable>(column: ColumnOf<M>) -> Option<Value> {
    let unique = Uuid::new_v4();
    let number = i64::from_le_bytes(unique.as_bytes()[..8].try_into().ok()?);
    let (definition, value_type) = (column.def(), M::get_value_type(column));
    if definition.is_null() {
        return payload::from_json(&Json::Null, &value_type);
    }
    Some(match value_type {
        ArrayType::String => {
            let text = unique.simple().to_string();
            let length = match definition.get_column_type() {
                ColumnType::String(StringLen::N(length)) | ColumnType::Char(Some(length)) => *length as usize,
                _ => text.len(),
            };
            text[..text.len().min(length)].into()
        }
        ArrayType::Uuid => unique.into(),
        ArrayType::BigInt => number.into(),
        ArrayType::Int => (number as i32).into(),
        ArrayType::SmallInt => (number as i16).into(),
        _ => return None,
    })
}
