//! Questions whose answers are single values, or pairs.

use std::collections::BTreeMap;

use sea_orm::sea_query::{Condition, Expr, ExprTrait, IntoTableRef, Query, SelectStatement};
use sea_orm::{ConnectionTrait, DbErr, QueryResult, StatementBuilder, TryGetable};

/// The value in the first row, if there is one.
pub(crate) async fn one<T: TryGetable>(
    db: &impl ConnectionTrait,
    select: &SelectStatement,
) -> Result<Option<T>, DbErr> {
    db.query_one(select).await?.map(|row| row.try_get_by_index(0)).transpose()
}

/// The values in all rows that a statement returns.
pub(crate) async fn all<T: TryGetable, L: FromIterator<T>>(
    db: &impl ConnectionTrait,
    statement: &impl StatementBuilder,
) -> Result<L, DbErr> {
    db.query_all(statement).await?.iter().map(|row| row.try_get_by_index(0)).collect()
}

/// The values in all rows of two columns, by the first.
pub(crate) async fn pairs<K: TryGetable + Ord, V: TryGetable>(
    db: &impl ConnectionTrait,
    select: &SelectStatement,
) -> Result<BTreeMap<K, V>, DbErr> {
    let pair = |row: &QueryResult| Ok((row.try_get_by_index(0)?, row.try_get_by_index(1)?));
    db.query_all(select).await?.iter().map(pair).collect()
}

/// Whether any row of a table is meant.
pub(crate) async fn any(db: &impl ConnectionTrait, table: impl IntoTableRef, which: Condition) -> Result<bool, DbErr> {
    let select = Query::select().expr(Expr::val(1)).from(table).cond_where(which).limit(1).to_owned();
    Ok(db.query_one(&select).await?.is_some())
}

/// How many rows of a table are meant.
pub(crate) async fn count(db: &impl ConnectionTrait, table: &'static str, which: Condition) -> Result<u64, DbErr> {
    let select = Query::select().expr(Expr::val(1).count()).from(table).cond_where(which).to_owned();
    Ok(one::<i64>(db, &select).await?.unwrap_or(0).unsigned_abs())
}
