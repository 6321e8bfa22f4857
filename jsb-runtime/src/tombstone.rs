//! Tombstones: the version at which a row was deleted, so that an older event does not bring it back.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sea_orm::sea_query::extension::postgres::PgExpr;
use sea_orm::sea_query::{Expr, ExprTrait, OnConflict, Order, Query, SelectStatement};
use sea_orm::{ConnectionTrait, DbBackend, DbErr, QueryResult};

use crate::version::Version;
use crate::{ask, settings};

const TABLE: &str = "sync_tombstones";

/// The version at which this key was last deleted.
pub(crate) async fn find<C: ConnectionTrait>(db: &C, resource: &str, id: &str) -> Result<Option<Version>, DbErr> {
    Ok(ask::one(db, &version_of(resource, id)).await?.map(Version::at))
}

/// Selects what [`find`] finds.
pub(crate) fn version_of(resource: &str, id: &str) -> SelectStatement {
    of(resource, Expr::col("resource_id").eq(id)).clear_selects().column("version").to_owned()
}

/// A version that was selected, if there is one.
pub(crate) fn version_in(row: &QueryResult, column: &str) -> Result<Option<Version>, DbErr> {
    Ok(row.try_get::<Option<DateTime<Utc>>>("", column)?.map(Version::at))
}

/// The versions at which these keys were last deleted, by their ids; those that never were are missing.
pub(crate) async fn find_all<C: ConnectionTrait>(
    db: &C,
    resource: &str,
    ids: impl IntoIterator<Item = &str>,
) -> Result<HashMap<String, Version>, DbErr> {
    let ids: Vec<String> = ids.into_iter().map(str::to_owned).collect();
    let select = match db.get_database_backend() {
        DbBackend::Postgres => of(resource, Expr::col("resource_id").eq_any(ids)),
        _ => of(resource, Expr::col("resource_id").is_in(ids)),
    };
    let version = |row: &QueryResult| row.try_get::<DateTime<Utc>>("", "version").map(Version::at);
    db.query_all(&select).await?.iter().map(|row| Ok((row.try_get("", "resource_id")?, version(row)?))).collect()
}

/// The tombstones of a resource's keys that are chosen so.
fn of(resource: &str, which: Expr) -> SelectStatement {
    Query::select()
        .columns(["resource_id", "version"])
        .from(TABLE)
        .and_where(Expr::col("resource_type").eq(resource))
        .and_where(which)
        .to_owned()
}

/// Whether this key was never deleted, as a condition; the caller holds the key's lock.
pub(crate) fn is_missing(resource: &str, id: Expr) -> Expr {
    Expr::exists(of(resource, Expr::col("resource_id").eq(id))).not()
}

/// Remembers a delete; the caller holds the key's lock. A newer tombstone stays.
pub(crate) async fn put<C: ConnectionTrait>(db: &C, resource: &str, id: &str, version: Version) -> Result<(), DbErr> {
    put_all(db, resource, &[(id.to_owned(), version)]).await
}

/// As [`put`], for one key or more, each of which comes once.
pub(crate) async fn put_all<C: ConnectionTrait>(
    db: &C,
    resource: &str,
    deleted: &[(String, Version)],
) -> Result<(), DbErr> {
    let mut insert = Query::insert();
    insert.into_table(TABLE).columns(["resource_type", "resource_id", "version"]);
    for (id, version) in deleted {
        insert.values_panic([resource.into(), id.as_str().into(), version.time().into()]);
    }
    let is_newer = Expr::col(("excluded", "version")).gt(Expr::col((TABLE, "version")));
    let mut newest = OnConflict::columns(["resource_type", "resource_id"]);
    newest.update_column("version").action_and_where(is_newer);
    insert.on_conflict(newest);
    db.execute(&insert).await.map(drop)
}

/// Selects the newest tombstone that was pruned: below it, nobody knows whether an absent row was deleted.
pub(crate) fn highest_pruned() -> SelectStatement {
    settings::setting("pruned_version")
}

/// Deletes up to `limit` tombstones older than `before` and remembers the highest version among them, in the
/// transaction of `db`; returns how many.
pub(crate) async fn prune<C: ConnectionTrait>(db: &C, before: DateTime<Utc>, limit: u64) -> Result<u64, DbErr> {
    let oldest = Query::select()
        .column("version")
        .from(TABLE)
        .and_where(Expr::col("version").lt(before))
        .order_by("version", Order::Asc)
        .limit(limit)
        .to_owned();
    let Some(highest) = ask::all::<DateTime<Utc>, Vec<_>>(db, &oldest).await?.pop() else { return Ok(0) };
    // Never down: another process may have pruned further.
    let pruned = || Expr::col("pruned_version");
    let remember =
        settings::change("pruned_version", highest).and_where(pruned().is_null().or(pruned().lt(highest))).to_owned();
    db.execute(&remember).await?;
    let delete = Query::delete().from_table(TABLE).and_where(Expr::col("version").lte(highest)).to_owned();
    Ok(db.execute(&delete).await?.rows_affected())
}
