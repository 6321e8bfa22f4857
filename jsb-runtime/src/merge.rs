//! Many events of one resource at once: what they come to, row by row, is written in few statements.

use std::collections::HashMap;

use sea_orm::sea_query::extension::postgres::PgFunc;
use sea_orm::sea_query::{Expr, ExprTrait, IntoValueTuple, LockType, OnConflict, Query, Value};
use sea_orm::{
    ActiveModelTrait, ActiveValue, ColumnTrait, Condition, ConnectionTrait, DatabaseTransaction, DbBackend, DbErr,
    EntityName, EntityTrait, IdenStatic, Iterable, Order, PrimaryKeyTrait, QueryFilter, QueryOrder, QuerySelect,
    QueryTrait, Statement, TryGetableMany,
};

use crate::arrays::{self, Column};
use crate::event::{Envelope, event_type};
use crate::row;
use crate::syncable::{ActiveModelOf, ColumnOf, OnDelete, Syncable, VersionType};
use crate::upsert::{self, ApplyError, Change, Effect, Found, decide};
use crate::version::Version;
use crate::{clock, dialect, tombstone};

/// How many values one insert of rows binds: far below the 32,766 of SQLite, and PostgreSQL's 65,535.
const MAX_VALUES: usize = 20_000;

/// What many events come to.
pub(crate) struct Merged {
    /// What became of each of them.
    pub(crate) effects: Vec<Effect>,
    /// The rows that are still to be deleted.
    pub(crate) doomed: Vec<Doomed>,
}

/// A row that is to be deleted, once nothing refers to it any more.
pub(crate) struct Doomed {
    id: String,
    key: Vec<Value>,
    version: Version,
}

/// A row on its way from what is found to what the events make of it.
struct Merging<'a, M: Syncable> {
    key: &'a [Value],
    found: Found,
    is_here: bool,
    written: Option<ActiveModelOf<M>>,
    deleted: Option<Version>,
}

/// Takes the keys' locks, compares versions in the events' order, and writes what the newest say. Nothing is deleted
/// yet: rows of other tables may refer to what is doomed.
///
/// # Errors
///
/// Whenever an event needs a closer look. Nothing is wrong with the others then: the caller tries fewer at a time.
pub(crate) async fn upsert_all<M: Syncable>(
    txn: &DatabaseTransaction,
    events: &[&Envelope],
    own_app: &str,
) -> Result<Merged, ApplyError> {
    let (keys, ids): (Vec<_>, Vec<_>) =
        events.iter().map(|event| row::key_and_id_in::<M>(event)).collect::<Result<Vec<_>, _>>()?.into_iter().unzip();
    dialect::lock_keys(txn, M::RESOURCE, &ids).await?;

    let mut rows = find_all::<M>(txn, &ids, &keys).await?;
    let mut effects = Vec::with_capacity(events.len());
    // In the order in which they first come up, since an earlier row may give up a unique value that a later one takes.
    let mut order = Vec::new();
    for (event, id) in events.iter().zip(&ids) {
        let Some(merging) = rows.get_mut(id.as_str()) else { continue };
        if merging.written.is_none() && merging.deleted.is_none() {
            order.push(id.as_str());
        }
        effects.push(merging.take(event, own_app)?);
    }

    let merged: Vec<_> = order.into_iter().filter_map(|id| rows.remove(id).map(|merging| (id, merging))).collect();
    let (mut changed, mut new, mut doomed) = (Vec::new(), Vec::new(), Vec::new());
    for (id, Merging { key, is_here, written, deleted, .. }) in merged {
        match (deleted, written) {
            (Some(version), _) => doomed.push(Doomed { id: id.to_owned(), key: key.to_vec(), version }),
            (None, Some(row)) if !is_full::<M>(&row) => match is_here {
                true => upsert::update::<M>(txn, row, key).await?,
                false => M::Entity::insert(row).exec_without_returning(txn).await.map(drop)?,
            },
            (None, Some(row)) if is_here => changed.push(row),
            (None, Some(row)) => new.push(row),
            (None, None) => {}
        }
    }
    update_all::<M>(txn, changed).await?;
    insert_all::<M>(txn, new, None).await?;
    Ok(Merged { effects, doomed })
}

/// Deletes what [`upsert_all`] left to be deleted, and leaves tombstones.
pub(crate) async fn delete_all<M: Syncable>(txn: &DatabaseTransaction, doomed: Vec<Doomed>) -> Result<(), ApplyError> {
    let keys: Vec<&[Value]> = doomed.iter().map(|doomed| doomed.key.as_slice()).collect();
    M::Entity::delete_many().filter(has_any_key::<M>(txn.get_database_backend(), &keys)).exec(txn).await?;
    let tombstones: Vec<_> = doomed.into_iter().map(|doomed| (doomed.id, doomed.version)).collect();
    Ok(tombstone::put_all(txn, M::RESOURCE, &tombstones).await?)
}

impl<M: Syncable> Merging<'_, M> {
    fn take(&mut self, event: &Envelope, own_app: &str) -> Result<Effect, ApplyError> {
        let version = row::version_in::<M>(event)?;
        if version.is_too_far_ahead(clock::now()) {
            return Err(ApplyError::VersionInFuture(version));
        }
        if self.deleted.is_some() {
            return Err(DbErr::Custom("a row that comes back after its delete is written anew".to_owned()).into());
        }
        let deletes = event.event_type == event_type::DELETED;
        match decide(version, deletes, &event.producer, &self.found, own_app) {
            Change::Stale => return Ok(Effect::Stale),
            Change::OlderThanTombstones => return Err(ApplyError::OlderThanTombstones(version)),
            Change::Delete if M::ON_DELETE == OnDelete::Ignore => {}
            Change::Delete => self.deleted = Some(version),
            Change::Update | Change::Insert => {
                self.write(row::active_model_with::<M>(event, self.key.to_vec(), version)?);
                self.found.row = Some(version);
            }
        }
        Ok(Effect::Applied)
    }

    /// What a newer event does not carry stays as an older one says.
    fn write(&mut self, newer: ActiveModelOf<M>) {
        let Some(written) = &mut self.written else {
            self.written = Some(newer);
            return;
        };
        for column in written_columns::<M>() {
            if let ActiveValue::Set(value) = newer.get(column) {
                written.set(column, value);
            }
        }
    }
}

/// The rows of these keys, which may come up more than once, as they are now: locked, in the order of their keys.
async fn find_all<'a, M: Syncable>(
    txn: &DatabaseTransaction,
    ids: &'a [String],
    keys: &'a [Vec<Value>],
) -> Result<HashMap<&'a str, Merging<'a, M>>, DbErr> {
    let merging =
        |key: &'a Vec<Value>| Merging { key, found: Found::default(), is_here: false, written: None, deleted: None };
    let mut rows: HashMap<&str, Merging<M>> = ids.iter().map(String::as_str).zip(keys.iter().map(merging)).collect();
    let distinct: Vec<&[Value]> = rows.values().map(|row| row.key).collect();
    let versions = stored_versions::<M>(txn, &distinct).await?;
    let all_are_here = versions.len() == rows.len();
    for (id, version) in versions {
        // A column whose values are equal although they read differently.
        let row = rows.get_mut(id.as_str());
        let row = row.ok_or_else(|| DbErr::Custom(format!("a row answers to another key than {id}")))?;
        (row.found.row, row.is_here) = (Some(version), true);
    }
    let tombstones = tombstone::find_all(txn, M::RESOURCE, rows.keys().copied()).await?;
    for (id, version) in tombstones {
        if let Some(row) = rows.get_mut(id.as_str()) {
            row.found.tombstone = Some(version);
        }
    }
    if !all_are_here {
        let pruned = tombstone::highest_pruned(txn).await?;
        rows.values_mut().filter(|row| !row.is_here).for_each(|row| row.found.pruned = pruned);
    }
    Ok(rows)
}

async fn stored_versions<M: Syncable>(
    txn: &DatabaseTransaction,
    keys: &[&[Value]],
) -> Result<Vec<(String, Version)>, DbErr> {
    type KeyOf<M> = <<<M as sea_orm::ModelTrait>::Entity as EntityTrait>::PrimaryKey as PrimaryKeyTrait>::ValueType;
    let names: Vec<String> = row::key_columns::<M>().map(|column| column.as_str().to_owned()).collect();
    let mut select = M::Entity::find()
        .select_only()
        .columns(row::key_columns::<M>())
        .column(M::VERSION)
        .filter(has_any_key::<M>(txn.get_database_backend(), keys))
        .lock(LockType::Update);
    for column in row::key_columns::<M>() {
        select = select.order_by(column, Order::Asc);
    }
    let rows = txn.query_all(select.as_query()).await?;
    rows.iter()
        .map(|row| {
            let key = KeyOf::<M>::try_get_many(row, "", &names)?.into_value_tuple();
            let version = row.try_get::<M::Version>("", M::VERSION.as_str())?;
            Ok((row::resource_id(key.into_iter()), version.into_version()))
        })
        .collect()
}

fn has_any_key<M: Syncable>(backend: DbBackend, keys: &[&[Value]]) -> Condition {
    let columns: Vec<_> = row::key_columns::<M>().collect();
    let [single] = columns.as_slice() else {
        return keys.iter().fold(Condition::any(), |any, key| any.add(row::has_key::<M>(key)));
    };
    let keys: Vec<Value> = keys.iter().copied().flatten().cloned().collect();
    let array = (backend == DbBackend::Postgres).then(|| arrays::array(keys.clone())).flatten();
    Condition::all().add(match array {
        Some(array) => single.into_expr().eq(PgFunc::any(single.save_array_as(Expr::val(array)))),
        None => single.is_in(keys),
    })
}

/// The columns that an event can write, the version among them.
fn written_columns<M: Syncable>() -> impl Iterator<Item = ColumnOf<M>> {
    M::FIELDS.iter().map(|field| field.column)
}

fn is_full<M: Syncable>(row: &ActiveModelOf<M>) -> bool {
    written_columns::<M>().all(|column| !row.is_not_set(column))
}

/// As an upsert, which updates many rows in one statement; under their locks none of them can be gone.
async fn update_all<M: Syncable>(txn: &DatabaseTransaction, rows: Vec<ActiveModelOf<M>>) -> Result<(), DbErr> {
    let on_conflict = OnConflict::columns(row::key_columns::<M>())
        .update_columns(written_columns::<M>().filter(|column| !row::is_key::<M>(column)))
        .to_owned();
    insert_all::<M>(txn, rows, Some(on_conflict)).await
}

async fn insert_all<M: Syncable>(
    txn: &DatabaseTransaction,
    rows: Vec<ActiveModelOf<M>>,
    on_conflict: Option<OnConflict>,
) -> Result<(), DbErr> {
    if txn.get_database_backend() == DbBackend::Postgres
        && let Some(insert) = insert_of_arrays::<M>(&rows, on_conflict.as_ref())
    {
        return txn.execute_raw(insert).await.map(drop);
    }
    let mut rows = rows.into_iter().peekable();
    while rows.peek().is_some() {
        let mut insert = M::Entity::insert_many(rows.by_ref().take(MAX_VALUES / M::FIELDS.len()));
        if let Some(on_conflict) = &on_conflict {
            insert = insert.on_conflict(on_conflict.clone());
        }
        insert.exec_without_returning(txn).await?;
    }
    Ok(())
}

/// An insert of full rows, which all have the same columns; `None` if there are none, or if a column has no array form.
fn insert_of_arrays<M: Syncable>(rows: &[ActiveModelOf<M>], on_conflict: Option<&OnConflict>) -> Option<Statement> {
    let first = rows.first()?;
    let columns: Vec<_> = ColumnOf::<M>::iter().filter(|column| !first.is_not_set(*column)).collect();
    let arrays = columns.iter().map(|column| {
        let values = rows.iter().map(|row| row.get(*column).into_value()).collect::<Option<Vec<_>>>()?;
        Column::new(values, column.def().is_null())
    });
    let arrays = arrays.collect::<Option<Vec<_>>>()?;
    let rows = arrays::rows(arrays, |place, value| columns[place].save_as(value));
    let mut insert = Query::insert();
    insert.into_table(M::Entity::default().table_ref()).columns(columns);
    // The SELECT has just these columns.
    insert.select_from(rows.select.clone()).ok()?;
    if let Some(on_conflict) = on_conflict {
        insert.on_conflict(on_conflict.clone());
    }
    Some(rows.inserted_by(&insert))
}
