//! A save in one statement, which PostgreSQL commits by itself: the row, and its event made of what became of the row.
//! What is not as simple as that is left to the hooks, which come to the same in more round trips.

mod statement;

use sea_orm::sea_query::{ArrayType, Value};
use sea_orm::{
    ActiveModelTrait, ActiveValue, ConnectionTrait, DbBackend, DbErr, Iterable, QueryResult, Statement,
    TransactionSession, TransactionTrait,
};
use serde_json::Value as Json;
use statement::Kind;

use super::{forms, skip};
use crate::event::{NewEvent, event_type};
use crate::syncable::{ActiveModelOf, ColumnOf, Keys, Syncable, VersionType};
use crate::version::{MAX_AHEAD, Version};
use crate::{clock, dialect, keys, outbox, row};

/// Whether saves on this connection are simple enough.
fn is_simple<M: Syncable, C: ConnectionTrait>(db: &C) -> bool {
    !M::HAS_OWN_HOOKS
        && super::is_pool::<C>()
        && db.get_database_backend() == DbBackend::Postgres
        && !skip::publishing_is_skipped()
}

/// Inserts a row; `None` if that is left to the hooks, and nothing was written.
pub(super) async fn insert<M: Syncable, C: ConnectionTrait + TransactionTrait>(
    row: &ActiveModelOf<M>,
    db: &C,
) -> Result<Option<M>, DbErr> {
    let key = row::key_of::<M>(row);
    // Of interleaved keys a node may choose but its own, which the hooks know; they refuse what nobody chose.
    let is_left_to_hooks = match key {
        Some(_) => M::KEYS == Keys::Interleaved,
        None => keys::left_to_the_database::<M>(row).is_some(),
    };
    if !is_simple::<M, C>(db) || is_left_to_hooks {
        return Ok(None);
    }
    let mut row = row.clone();
    forms::use_common_forms::<M>(&mut row, true)?;
    row::set_version::<M>(&mut row, Version::at(clock::now()));
    let Some(key) = key else {
        let event = NewEvent::new(M::RESOURCE, "", event_type::CREATED, Json::Null);
        let Some(statement) = bound_statement::<M>(Kind::Insert, &event, [], &row)? else { return Ok(None) };
        return committed(written_by(db, statement).await?);
    };
    let Some(event) = event_of::<M>(&key, event_type::CREATED) else { return Ok(None) };
    let id = event.resource_id.as_str();
    let Some(statement) = bound_statement::<M>(Kind::InsertByKey, &event, [id.into()], &row)? else { return Ok(None) };
    let txn = db.begin().await?;
    dialect::lock_key(&txn, M::RESOURCE, id).await?;
    match written_by(&txn, statement).await.and_then(read::<M>) {
        Ok(None) => txn.rollback().await.map(|()| None),
        saved => dialect::end(txn, saved).await,
    }
}

/// Updates a row; `None` if that is left to the hooks, and nothing was written.
pub(super) async fn update<M: Syncable, C: ConnectionTrait>(
    row: &ActiveModelOf<M>,
    db: &C,
) -> Result<Option<M>, DbErr> {
    let Some(key) = row::key_of::<M>(row) else { return Ok(None) };
    if !is_simple::<M, C>(db) {
        return Ok(None);
    }
    let Some(event) = event_of::<M>(&key, event_type::UPDATED) else { return Ok(None) };
    let mut row = row.clone();
    forms::use_common_forms::<M>(&mut row, false)?;
    row.not_set(M::VERSION);
    for column in row::key_columns::<M>() {
        row.not_set(column);
    }
    let version_at = |time| -> Value { M::Version::from_version(Version::at(time)).into() };
    let now = clock::now();
    let before = [version_at(now), version_at(now + MAX_AHEAD)].into_iter().chain(key);
    let Some(statement) = bound_statement::<M>(Kind::Update, &event, before, &row)? else { return Ok(None) };
    committed(written_by(db, statement).await?)
}

/// The event of this row but for its payload; `None` if the hooks have to refuse the save.
fn event_of<M: Syncable>(key: &[Value], event_type: &str) -> Option<NewEvent> {
    let event = NewEvent::new(M::RESOURCE, row::resource_id(key.iter().cloned()), event_type, Json::Null);
    event.check().is_ok().then_some(event)
}

/// The statement with its values: what is new in the event, what this kind of save needs besides, and the row's own; `None` if
/// it is left to the hooks.
fn bound_statement<M: Syncable>(
    kind: Kind,
    event: &NewEvent,
    needed: impl IntoIterator<Item = Value>,
    row: &ActiveModelOf<M>,
) -> Result<Option<Statement>, DbErr> {
    let mut values: Vec<Value> = outbox::values_of(event)?.into_iter().chain(needed).collect();
    let mut is_written = Vec::new();
    for column in ColumnOf::<M>::iter() {
        let written = if let ActiveValue::Set(value) = row.get(column) { Some(value) } else { None };
        // SeaORM makes JSON of such a list, but only where it finds the value in the statement.
        if matches!(written, Some(Value::Array(ArrayType::Json, _))) {
            return Ok(None);
        }
        is_written.push(written.is_some());
        values.extend(written);
    }
    let text = statement::text::<M>(kind, is_written)?;
    Ok(text.map(|text| Statement::from_sql_and_values(DbBackend::Postgres, &*text, values)))
}

/// Runs the statement. What the database refuses is for the hooks, unless they would be refused alike.
async fn written_by<C: ConnectionTrait>(db: &C, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
    let written = db.query_one_raw(statement).await;
    written.or_else(|error| if dialect::is_for_hooks(&error) { Ok(None) } else { Err(error) })
}

fn read<M: Syncable>(saved: Option<QueryResult>) -> Result<Option<M>, DbErr> {
    saved.map(|saved| M::from_query_result(&saved, "")).transpose()
}

/// Reads what is committed already, so that it stays where it cannot be read.
fn committed<M: Syncable>(saved: Option<QueryResult>) -> Result<Option<M>, DbErr> {
    read(saved).map_err(|error| {
        outbox::hint();
        DbErr::Custom(format!(
            "the `{}` is saved and its event recorded, but this program cannot read the row: {error}; to have such a save taken \
             back, make it in a transaction",
            M::RESOURCE
        ))
    })
}

#[cfg(test)]
mod tests;
