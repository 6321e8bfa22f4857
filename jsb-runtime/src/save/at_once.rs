//! A save in one statement, which PostgreSQL commits by itself: the row, and its event made from the row. What is not as
//! simple as that is left to the hooks, which come to the same in more round trips.

use std::any::type_name;
use std::collections::BTreeSet;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use sea_orm::sea_query::extension::postgres::PgExpr;
use sea_orm::sea_query::{
    ArrayType, BinOper, CaseStatement, CommonTableExpression, Condition, Expr, ExprTrait, Query, ReturningClause,
    SubQueryStatement, Value, WithClause, WithQuery,
};
use sea_orm::{
    ActiveModelTrait, ActiveValue, ColumnTrait, ConnectionTrait, DatabaseConnection, DbBackend, DbErr, EntityName,
    IdenStatic, Iterable, TransactionSession, TransactionTrait,
};
use serde_json::Value as Json;

use crate::dialect::{self, Refusal};
use crate::event::{NewEvent, event_type};
use crate::syncable::{ActiveModelOf, ColumnOf, Keys, Syncable};
use crate::version::{self, Version};
use crate::{clock, hooks, outbox, row, settings, skip, tombstone};

/// The row that the statement writes, as its other parts call it.
const ROW: &str = "row";

/// Tables whose rows came out otherwise than they were sent, by a trigger for example. It only saves trying again.
static ALTERED: LazyLock<Mutex<BTreeSet<&'static str>>> = LazyLock::new(Mutex::default);

/// Whether saves of this entity on this connection are simple enough.
fn is_simple<M: Syncable, C: ConnectionTrait>(db: &C) -> bool {
    !M::HAS_OWN_HOOKS
        && type_name::<C>() == type_name::<DatabaseConnection>()
        && db.get_database_backend() == DbBackend::Postgres
        && !skip::publishing_is_skipped()
        // What PostgreSQL cannot compare.
        && !M::FIELDS.iter().any(|field| matches!(M::get_value_type(field.column), ArrayType::Json))
        && !altered().contains(M::RESOURCE)
}

/// Inserts a row; `None` if that is left to the hooks, and nothing was written.
pub(super) async fn insert<M: Syncable, C: ConnectionTrait + TransactionTrait>(
    row: &ActiveModelOf<M>,
    db: &C,
) -> Result<Option<M>, DbErr> {
    let key_is_given = row::key_of::<M>(row).is_some();
    // Of interleaved keys a node may choose but its own, which the hooks know.
    if !is_simple::<M, C>(db) || key_is_given && M::KEYS == Keys::Interleaved {
        return Ok(None);
    }
    let mut row = row.clone();
    hooks::use_common_forms::<M>(&mut row, true);
    row::set_version::<M>(&mut row, Version::at(clock::now()));
    let Some(event) = event_of::<M>(&row, event_type::CREATED) else { return Ok(None) };
    let id = event.event.resource_id.clone();
    let mut may_insert = settings::may_publish();
    if key_is_given {
        may_insert = may_insert.add(tombstone::is_missing(M::RESOURCE, &id));
    }
    let (columns, values) = written::<M>(&row);
    let values = Query::select().exprs(values).from(settings::TABLE).cond_where(may_insert).to_owned();
    let mut insert = Query::insert();
    insert.into_table(M::Entity::default().table_ref()).columns(columns).returning(all_columns::<M>());
    insert.select_from(values).map_err(|error| DbErr::Custom(error.to_string()))?;
    let statement = with_event::<M>(insert, &row, event)?;
    if !key_is_given {
        return written_by(db, statement).await;
    }
    let txn = db.begin().await?;
    dialect::lock_key(&txn, M::RESOURCE, &id).await?;
    let saved = written_by(&txn, statement).await?;
    match &saved {
        Some(_) => txn.commit().await?,
        None => txn.rollback().await?,
    }
    Ok(saved)
}

/// Updates a row that is still as the caller has read it; `None` if that is left to the hooks, and nothing was written.
pub(super) async fn update<M: Syncable, C: ConnectionTrait>(
    row: &ActiveModelOf<M>,
    db: &C,
) -> Result<Option<M>, DbErr> {
    let has_version = matches!(row.get(M::VERSION), ActiveValue::Unchanged(_));
    if !is_simple::<M, C>(db) || !row.is_changed() || !has_version {
        return Ok(None);
    }
    let Some(key) = row::key_of::<M>(row) else { return Ok(None) };
    let mut row = row.clone();
    hooks::use_common_forms::<M>(&mut row, false);
    let as_read = M::FIELDS.iter().filter_map(|field| match row.get(field.column) {
        ActiveValue::Unchanged(value) => Some(is_still(field.column, field.column.into_expr(), value)),
        _ => None,
    });
    let as_read = as_read.fold(row::has_key::<M>(&key), Condition::add);
    let above = row::version_of::<M>(&row);
    row::set_version::<M>(&mut row, version::draw(clock::now(), above));
    let Some(event) = event_of::<M>(&row, event_type::UPDATED) else { return Ok(None) };
    let (columns, values) = written::<M>(&row);
    let may_publish =
        Query::select().expr(Expr::val(1)).from(settings::TABLE).cond_where(settings::may_publish()).to_owned();
    let mut update = Query::update();
    update.table(M::Entity::default().table_ref()).values(columns.into_iter().zip(values));
    update.cond_where(as_read.add(Expr::exists(may_publish))).returning(all_columns::<M>());
    written_by(db, with_event::<M>(update, &row, event)?).await
}

/// What is said of a row that the statement is still to write.
struct RowEvent {
    event: NewEvent,
    id: Expr,
    payload: Expr,
}

/// The event of this save; `None` if the hooks have to refuse the save, or to ask the database for what it lacks.
fn event_of<M: Syncable>(row: &ActiveModelOf<M>, event_type: &str) -> Option<RowEvent> {
    row::version_of::<M>(row).filter(|version| !version.is_too_far_ahead(clock::now()))?;
    if let Some(key) = row::key_of::<M>(row) {
        let id = row::resource_id(key.into_iter());
        let event = NewEvent::new(M::RESOURCE, id, event_type, row::payload_of::<M>(row).ok()?);
        event.check().ok()?;
        let (id, payload) = (Expr::val(event.resource_id.as_str()), Expr::val(event.payload.to_string()));
        return Some(RowEvent { event, id, payload });
    }
    let column = drawn_key::<M>()?;
    let event = NewEvent::new(M::RESOURCE, "", event_type, row::payload_but_key::<M>(row).ok()?);
    let id = Expr::col((ROW, column)).cast_as("text");
    let before = format!("{{{}:", Json::from(row::field_name::<M>(column)));
    let behind = event.payload.to_string().replacen('{', ",", 1);
    let payload = Expr::val(before).concat(id.clone()).concat(Expr::val(behind));
    Some(RowEvent { event, id, payload })
}

/// The key's column, where it is one that the database may draw and that reads in JSON as it does in SQL.
fn drawn_key<M: Syncable>() -> Option<ColumnOf<M>> {
    let mut columns = row::key_columns::<M>();
    let column = columns.next().filter(|_| columns.next().is_none())?;
    matches!(M::get_value_type(column), ArrayType::Int | ArrayType::BigInt).then_some(column)
}

/// The whole statement. Where the database alters what it is given, so that the row is not what the event says, the event
/// has no status, which its table refuses, and nothing is written.
fn with_event<M: Syncable>(
    write: impl Into<SubQueryStatement>,
    row: &ActiveModelOf<M>,
    event: RowEvent,
) -> Result<WithQuery, DbErr> {
    let as_sent = M::FIELDS.iter().filter_map(|field| match row.get(field.column) {
        ActiveValue::Set(value) | ActiveValue::Unchanged(value) => {
            Some(is_still(field.column, Expr::col((ROW, field.column)), value))
        }
        ActiveValue::NotSet => None,
    });
    let status = CaseStatement::new().case(as_sent.fold(Condition::all(), Condition::add), "pending");
    let record = outbox::record_from(ROW, &event.event, event.id, event.payload, status.into())?;
    let mut saved = Query::select();
    for column in ColumnOf::<M>::iter() {
        saved.expr_as(column.select_as(Expr::col((ROW, column))), column.as_str());
    }
    let named = |name: &'static str, query: SubQueryStatement| {
        CommonTableExpression::new().table_name(name).query(query).to_owned()
    };
    let with = WithClause::new().cte(named(ROW, write.into())).cte(named("event", record.into())).to_owned();
    Ok(with.query(saved.from(ROW).to_owned()))
}

/// Runs the statement. What the database refuses is for the hooks, unless they would be refused alike.
async fn written_by<M: Syncable, C: ConnectionTrait>(db: &C, statement: WithQuery) -> Result<Option<M>, DbErr> {
    match db.query_one(&statement).await {
        Ok(Some(saved)) => M::from_query_result(&saved, "").map(Some),
        Ok(None) => Ok(None),
        Err(error) => match dialect::refusal(&error) {
            Some(Refusal::RowAltered) => {
                tracing::debug!(
                    resource = M::RESOURCE,
                    "rows are not kept as they are sent: saves take more statements"
                );
                altered().insert(M::RESOURCE);
                Ok(None)
            }
            Some(Refusal::Other) => Ok(None),
            Some(Refusal::Constraint) | None => Err(error),
        },
    }
}

/// The columns that are written, and their values.
fn written<M: Syncable>(row: &ActiveModelOf<M>) -> (Vec<ColumnOf<M>>, Vec<Expr>) {
    let set = ColumnOf::<M>::iter().filter_map(|column| match row.get(column) {
        ActiveValue::Set(value) => Some((column, column.save_as(Expr::val(value)))),
        _ => None,
    });
    set.unzip()
}

fn is_still<C: ColumnTrait>(column: C, found: Expr, value: Value) -> Expr {
    found.binary(BinOper::Custom("IS NOT DISTINCT FROM"), column.save_as(Expr::val(value)))
}

fn all_columns<M: Syncable>() -> ReturningClause {
    Query::returning().columns(ColumnOf::<M>::iter())
}

fn altered() -> MutexGuard<'static, BTreeSet<&'static str>> {
    ALTERED.lock().unwrap_or_else(PoisonError::into_inner)
}
