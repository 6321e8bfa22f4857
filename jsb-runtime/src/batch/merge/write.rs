//! Full rows of one entity, written together.

use std::borrow::Cow;

use sea_orm::sea_query::{Expr, ExprTrait, IntoIden, OnConflict, PostgresQueryBuilder, Query, TableRef};
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, Statement};

use crate::dialect::arrays::{self, Column, Rows};
use crate::dialect::values;
use crate::schema::{Schema, Values};

/// Updates full rows, in one statement; under their locks none of them can be gone.
pub(super) async fn update_all(
    txn: &DatabaseTransaction,
    schema: &Schema,
    rows: Vec<Cow<'_, Values>>,
) -> Result<(), DbErr> {
    let (key, others): (Vec<_>, Vec<_>) = (0..schema.columns.len()).partition(|place| schema.is_key(*place));
    if txn.get_database_backend() == DbBackend::Postgres
        && let Some(update) = update_of_arrays(schema, &rows, &others)
    {
        return txn.execute_raw(update).await.map(drop);
    }
    // An upsert, the same in other words. PostgreSQL would lock for it what a delete has to lock.
    let names = |places: Vec<usize>| places.into_iter().map(|place| schema.columns[place].name);
    let on_conflict = OnConflict::columns(names(key)).update_columns(names(others)).to_owned();
    insert_all(txn, schema, rows, Some(on_conflict)).await
}

/// Inserts full rows.
pub(super) async fn insert_all(
    txn: &DatabaseTransaction,
    schema: &Schema,
    rows: Vec<Cow<'_, Values>>,
    on_conflict: Option<OnConflict>,
) -> Result<(), DbErr> {
    if txn.get_database_backend() == DbBackend::Postgres
        && let Some(insert) = insert_of_arrays(schema, &rows)
    {
        return txn.execute_raw(insert).await.map(drop);
    }
    let parts = values::parts(rows.len(), schema.columns.len());
    let mut rows = rows.into_iter().map(Cow::into_owned);
    for part in parts {
        let mut insert = schema.insert(rows.by_ref().take(part));
        if let Some(on_conflict) = &on_conflict {
            insert.on_conflict(on_conflict.clone());
        }
        txn.execute(&insert).await?;
    }
    Ok(())
}

/// An update from an array for each column; `None` if there are no rows, or if a column has no array form.
fn update_of_arrays(schema: &Schema, rows: &[Cow<'_, Values>], others: &[usize]) -> Option<Statement> {
    const NEW: &str = "new";
    let rows = select_of_arrays(schema, rows)?;
    let new = |place: usize| Expr::col((NEW, arrays::name_of(place)));
    let mut update = Query::update();
    update
        .table(schema.table_ref.clone())
        .values(others.iter().map(|place| (schema.columns[*place].name, new(*place))))
        .from(TableRef::SubQuery(rows.select.clone().into(), NEW.into_iden()));
    for place in &schema.key {
        update.and_where(schema.column(*place).eq(new(*place)));
    }
    Some(rows.put_into(update.build(PostgresQueryBuilder)))
}

/// An insert of an array for each column; `None` as above.
fn insert_of_arrays(schema: &Schema, rows: &[Cow<'_, Values>]) -> Option<Statement> {
    let rows = select_of_arrays(schema, rows)?;
    let mut insert = Query::insert();
    insert.into_table(schema.table_ref.clone()).columns(schema.columns.iter().map(|column| column.name));
    // The SELECT has just these columns.
    insert.select_from(rows.select.clone()).ok()?;
    Some(rows.put_into(insert.build(PostgresQueryBuilder)))
}

fn select_of_arrays(schema: &Schema, rows: &[Cow<'_, Values>]) -> Option<Rows> {
    let arrays = schema.columns.iter().enumerate().map(|(place, column)| {
        let values = rows.iter().map(|row| row[place].clone()).collect::<Option<Vec<_>>>()?;
        Column::new(values, column.is_nullable)
    });
    let arrays = arrays.collect::<Option<Vec<_>>>()?;
    Some(arrays::rows(arrays, |place, value| (schema.types.save_as)(place, value)))
}
