//! What an event waits for when the database refuses it for now: a missing parent, or the holder of a unique value.

use rand::distr::{Alphanumeric, SampleString};
use sea_orm::sea_query::{Expr, ExprTrait, Query, TableName, TableRef, Value};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, Condition, ConnectionTrait, DatabaseTransaction, EntityName, EntityTrait,
    IdenStatic, Identity, Iterable, QueryFilter, RelationDef, RelationTrait,
};
use uuid::Uuid;

use crate::event::Envelope;
use crate::row;
use crate::syncable::{ActiveModelOf, ColumnOf, Syncable};
use crate::upsert::ApplyError;

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

/// Takes the value of a unique index from a row that is about to get another in the same transaction. One column is
/// enough, and neither a part of the key nor a reference to a parent can be it.
pub(crate) async fn move_aside<M: Syncable>(
    txn: &DatabaseTransaction,
    id: &str,
    columns: &[String],
) -> Result<(), ApplyError> {
    let key = row::key_from_id::<M>(id)?;
    let Some(here) = M::Entity::find().filter(row::has_key::<M>(&key)).one(txn).await? else { return Ok(()) };
    let mut free = columns.iter().filter(|name| !is_tied::<M>(name)).filter_map(|name| column_named::<M>(name));
    if let Some((column, value)) = free.find_map(|column| Some((column, stand_in(&here.get(column))?))) {
        let mut row = <ActiveModelOf<M> as ActiveModelTrait>::default();
        row.set(column, value);
        M::Entity::update_many().set(row).filter(row::has_key::<M>(&key)).exec(txn).await?;
    }
    Ok(())
}

/// Whether a column belongs to the row's key or to a foreign key.
fn is_tied<M: Syncable>(name: &str) -> bool {
    let in_foreign_key = |relation: RelationDef| relation.from_col.iter().any(|column| column.to_string() == name);
    row::key_columns::<M>().any(|column| column.as_str() == name)
        || relations::<M>().into_iter().filter(|relation| !relation.is_owner).any(in_foreign_key)
}

/// A value that in all likelihood nobody else has, as long as the one that it stands in for, since a column may be
/// narrow; another one is drawn the next time. Never committed.
fn stand_in(value: &Value) -> Option<Value> {
    Some(match value {
        Value::String(Some(text)) => Alphanumeric.sample_string(&mut rand::rng(), text.chars().count().max(1)).into(),
        Value::Uuid(Some(_)) => Uuid::new_v4().into(),
        Value::BigInt(Some(_)) => rand::random_range(1..=i64::MAX).into(),
        Value::Int(Some(_)) => rand::random_range(1..=i32::MAX).into(),
        Value::SmallInt(Some(_)) => rand::random_range(1..=i16::MAX).into(),
        _ => return None,
    })
}
