//! Many events of one resource at once: what they come to, row by row, is written in few statements.

mod write;

use std::borrow::Cow;
use std::collections::HashMap;

use sea_orm::sea_query::extension::postgres::PgFunc;
use sea_orm::sea_query::{Expr, ExprTrait, LockType, Order, Value};
use sea_orm::{Condition, ConnectionTrait, DatabaseTransaction, DbBackend, DbErr};

use crate::dialect::arrays;
use crate::event::Envelope;
use crate::row;
use crate::schema::{Said, Schema, Values};
use crate::syncable::OnDelete;
use crate::upsert::{self, Applier, ApplyError, Change, Effect, Found, collision, decide};
use crate::version::Version;
use crate::{ask, clock, dialect, keys, tombstone};

/// How many composite keys are asked for side by side; so many groups are enough for the largest batch.
const KEYS_IN_A_GROUP: usize = 32;

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
struct Merging<'a> {
    key: &'a [Value],
    found: Found,
    is_here: bool,
    written: Option<Cow<'a, Values>>,
    deleted: Option<Version>,
}

/// Takes the keys' locks, compares versions in the events' order, and writes what the newest say. Nothing is deleted
/// yet: rows of other tables may refer to what is doomed.
///
/// # Errors
///
/// Whenever an event needs a closer look. Nothing is wrong with the others then: the caller tries fewer at a time.
pub(crate) async fn upsert_all(
    txn: &DatabaseTransaction,
    schema: &Schema,
    events: &[(&Envelope, &Said)],
    applier: Applier<'_>,
) -> Result<Merged, ApplyError> {
    let ids = events.iter().map(|(_, said)| said.id.clone()).collect();
    dialect::lock_keys(txn, schema.resource, ids).await?;

    let mut rows = find_all(txn, schema, events).await?;
    let mut effects = Vec::with_capacity(events.len());
    // In the order in which they first come up, since an earlier row may give up a unique value that a later one takes.
    let (mut order, mut collisions) = (Vec::new(), Vec::new());
    for (event, said) in events {
        let Some(merging) = rows.get_mut(said.id.as_str()) else { continue };
        if collision::is_likely(schema, event, said, &merging.found) {
            collisions.push((*event, *said));
        }
        if merging.written.is_none() && merging.deleted.is_none() {
            order.push(said.id.as_str());
        }
        effects.push(merging.take(schema, event, said, applier.app)?);
    }
    collision::notice(txn, schema, &collisions, applier).await?;

    let merged: Vec<_> = order.into_iter().filter_map(|id| rows.remove(id).map(|merging| (id, merging))).collect();
    let (mut changed, mut new, mut doomed) = (Vec::new(), Vec::new(), Vec::new());
    for (id, Merging { key, is_here, written, deleted, .. }) in merged {
        match (deleted, written) {
            (Some(version), _) => doomed.push(Doomed { id: id.to_owned(), key: key.to_vec(), version }),
            (None, Some(row)) if row.contains(&None) => match is_here {
                true => upsert::update(txn, schema, row.into_owned(), key).await?,
                false => {
                    keys::pass_over_applied(txn, schema, [row.as_ref()]).await?;
                    upsert::insert(txn, schema, row.into_owned()).await?;
                }
            },
            (None, Some(row)) if is_here => changed.push(row),
            (None, Some(row)) => new.push(row),
            (None, None) => {}
        }
    }
    write::update_all(txn, schema, changed).await?;
    keys::pass_over_applied(txn, schema, new.iter().map(AsRef::as_ref)).await?;
    write::insert_all(txn, schema, new, None).await?;
    Ok(Merged { effects, doomed })
}

/// Deletes what [`upsert_all`] left to be deleted, and leaves tombstones.
pub(crate) async fn delete_all(
    txn: &DatabaseTransaction,
    schema: &Schema,
    doomed: Vec<Doomed>,
) -> Result<(), ApplyError> {
    let keys: Vec<&[Value]> = doomed.iter().map(|doomed| doomed.key.as_slice()).collect();
    txn.execute(&schema.delete(has_any_key(txn.get_database_backend(), schema, &keys))).await?;
    let tombstones: Vec<_> = doomed.into_iter().map(|doomed| (doomed.id, doomed.version)).collect();
    Ok(tombstone::put_all(txn, schema.resource, &tombstones).await?)
}

impl<'a> Merging<'a> {
    fn take(&mut self, schema: &Schema, event: &Envelope, said: &'a Said, own_app: &str) -> Result<Effect, ApplyError> {
        let version = said.version;
        if version.is_too_far_ahead(clock::now()) {
            return Err(ApplyError::VersionInFuture(version));
        }
        if self.deleted.is_some() {
            return Err(DbErr::Custom("a row that comes back after its delete is written anew".to_owned()).into());
        }
        match decide(version, event.deletes(), &event.producer, &self.found, own_app) {
            Change::Stale => return Ok(Effect::Stale),
            Change::OlderThanTombstones => return Err(ApplyError::OlderThanTombstones(version)),
            Change::Delete if schema.on_delete == OnDelete::Ignore => {}
            Change::Delete => self.deleted = Some(version),
            Change::Update | Change::Insert => {
                self.write(&said.values);
                self.found.row = Some(version);
            }
        }
        Ok(Effect::Applied)
    }

    /// What a newer event does not carry stays as an older one says.
    fn write(&mut self, newer: &'a Values) {
        let Some(written) = &mut self.written else {
            self.written = Some(Cow::Borrowed(newer));
            return;
        };
        for (value, newer) in written.to_mut().iter_mut().zip(newer) {
            if newer.is_some() {
                value.clone_from(newer);
            }
        }
    }
}

/// The rows of these keys, which may come up more than once, as they are now: locked, in the order of their keys.
async fn find_all<'a>(
    txn: &DatabaseTransaction,
    schema: &Schema,
    events: &[(&'a Envelope, &'a Said)],
) -> Result<HashMap<&'a str, Merging<'a>>, DbErr> {
    let merging =
        |key: &'a [Value]| Merging { key, found: Found::default(), is_here: false, written: None, deleted: None };
    let mut rows: HashMap<&str, Merging> =
        events.iter().map(|(_, said)| (said.id.as_str(), merging(&said.key))).collect();
    let distinct: Vec<&[Value]> = rows.values().map(|row| row.key).collect();
    let any_deletes = events.iter().any(|(event, _)| event.deletes());
    let versions = stored_versions(txn, schema, &distinct, upsert::lock_for(any_deletes)).await?;
    let all_are_here = versions.len() == rows.len();
    for (id, version) in versions {
        // A column whose values are equal although they read differently.
        let row = rows.get_mut(id.as_str());
        let row = row.ok_or_else(|| DbErr::Custom(format!("a row answers to another key than {id}")))?;
        (row.found.row, row.is_here) = (Some(version), true);
    }
    let tombstones = tombstone::find_all(txn, schema.resource, rows.keys().copied()).await?;
    for (id, version) in tombstones {
        if let Some(row) = rows.get_mut(id.as_str()) {
            row.found.tombstone = Some(version);
        }
    }
    if !all_are_here {
        let pruned = ask::one::<Option<_>>(txn, &tombstone::highest_pruned()).await?.flatten().map(Version::at);
        rows.values_mut().filter(|row| !row.is_here).for_each(|row| row.found.pruned = pruned);
    }
    Ok(rows)
}

async fn stored_versions(
    txn: &DatabaseTransaction,
    schema: &Schema,
    keys: &[&[Value]],
    lock: LockType,
) -> Result<Vec<(String, Version)>, DbErr> {
    let read = schema.key.iter().copied().chain([schema.version]);
    let mut select = schema.select(read, has_any_key(txn.get_database_backend(), schema, keys));
    select.lock(lock);
    for place in &schema.key {
        select.order_by_expr(schema.column(*place), Order::Asc);
    }
    let rows = txn.query_all(&select).await?;
    let version = |row| {
        let id = row::resource_id((schema.types.key_of)(row)?.into_iter());
        let version = (schema.types.version_of)(row)?;
        Ok((id, version.ok_or_else(|| DbErr::Type("a row has no version".to_owned()))?))
    };
    rows.iter().map(version).collect()
}

fn has_any_key(backend: DbBackend, schema: &Schema, keys: &[&[Value]]) -> Condition {
    let &[single] = schema.key.as_slice() else {
        let any_of = |keys: &[&[Value]]| keys.iter().fold(Condition::any(), |any, key| any.add(schema.has_key(key)));
        // In groups, since a chain is as deep as it is long, and SQLite takes a depth of 1,000.
        return keys.chunks(KEYS_IN_A_GROUP).fold(Condition::any(), |any, keys| any.add(any_of(keys)));
    };
    let keys: Vec<Value> = keys.iter().copied().flatten().cloned().collect();
    let array = (backend == DbBackend::Postgres).then(|| arrays::array(keys.clone())).flatten();
    let column = schema.column(single);
    Condition::all().add(match array {
        Some(array) => column.eq(PgFunc::any((schema.types.save_array_as)(single, Expr::val(array)))),
        None => column.is_in(keys.into_iter().map(|key| schema.bound(single, key))),
    })
}
