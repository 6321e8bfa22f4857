//! The text of a save in one statement. It depends on nothing but the entity, the kind of save and the columns that are
//! written, so that it is made once.

use std::any::TypeId;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex};

use sea_orm::sea_query::{
    ArrayType, CommonTableExpression, Condition, Expr, ExprTrait, Func, PostgresQueryBuilder, Query, ReturningClause,
    SubQueryStatement, WithClause,
};
use sea_orm::{ColumnTrait, DbErr, EntityName, IdenStatic, Iterable};
use serde_json::Value as Json;

use crate::event::event_type;
use crate::locked::locked;
use crate::payload::MAX_ID_BYTES;
use crate::payload::postgres::{JsonText, json_text};
use crate::schema::is_array;
use crate::syncable::{ColumnOf, Field, Keys, Syncable};
use crate::{dialect, keys, outbox, row, settings, tombstone};

/// The row that the statement writes, as its other parts call it.
const ROW: &str = "row";

/// How many values one call of `format` takes: PostgreSQL's functions have 100 arguments at the most.
const MOST_VALUES: usize = 99;

/// How many texts are kept: more than an application has, unless its requests choose the columns.
const CAPACITY: usize = 1_000;

static TEXTS: LazyLock<Mutex<HashMap<Shape, Option<Arc<str>>>>> = LazyLock::new(Mutex::default);

/// What is saved, and what such a save needs to know besides the event and the row's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    /// An insert whose key the database draws; nothing.
    Insert,
    /// An insert by a key under its lock: the key as text.
    InsertByKey,
    /// An update: the version now, the one that it must stay below, and the key.
    Update,
}

type Shape = (TypeId, Kind, Vec<bool>);

/// The statement: the row is written, then the event of what it has become, triggers included. Where the row has no form on
/// the wire, its event has no payload, which the outbox refuses, and nothing is written. `None` if PostgreSQL cannot write
/// such an event.
///
/// Its values are what is new in the event, what the kind of save needs, and those of the columns that are written.
pub(super) fn text<M: Syncable>(kind: Kind, is_written: Vec<bool>) -> Result<Option<Arc<str>>, DbErr> {
    let shape = (TypeId::of::<M>(), kind, is_written);
    let known = locked(&TEXTS).get(&shape).cloned();
    if let Some(text) = known {
        return Ok(text);
    }
    let text: Option<Arc<str>> = written::<M>(kind, &shape.2)?.map(Arc::from);
    let mut texts = locked(&TEXTS);
    if texts.len() >= CAPACITY {
        texts.clear();
    }
    texts.insert(shape, text.clone());
    Ok(text)
}

/// The statement's parameters, one after another.
struct Parameters(usize);

impl Parameters {
    fn next(&mut self) -> Expr {
        self.0 += 1;
        Expr::cust(format!("${}", self.0))
    }
}

fn written<M: Syncable>(kind: Kind, is_written: &[bool]) -> Result<Option<String>, DbErr> {
    let Some(id) = id_text::<M>() else { return Ok(None) };
    let Some(payload) = payload_text::<M>(&id) else { return Ok(None) };
    let mut parameters = Parameters(0);
    let said = std::array::from_fn(|_| parameters.next());
    let event_type = match kind {
        Kind::Insert | Kind::InsertByKey => event_type::CREATED,
        Kind::Update => event_type::UPDATED,
    };
    let write = match kind {
        Kind::Update => update::<M>(&mut parameters, is_written),
        Kind::Insert | Kind::InsertByKey => insert::<M>(&mut parameters, kind, is_written)?,
    };
    let record = outbox::record_from(ROW, said, [M::RESOURCE, event_type], Expr::cust(id), Expr::cust(payload))?;
    let mut saved = Query::select();
    for column in ColumnOf::<M>::iter() {
        saved.expr_as(column.select_as(Expr::col((ROW, column))), column.as_str());
    }
    let named = |name: &'static str, query: SubQueryStatement| {
        CommonTableExpression::new().table_name(name).query(query).to_owned()
    };
    let with = WithClause::new().cte(named(ROW, write)).cte(named("event", record.into())).to_owned();
    Ok(Some(with.query(saved.from(ROW).to_owned()).to_string(PostgresQueryBuilder)))
}

fn insert<M: Syncable>(
    parameters: &mut Parameters,
    kind: Kind,
    is_written: &[bool],
) -> Result<SubQueryStatement, DbErr> {
    let may_insert = match kind {
        Kind::InsertByKey => Condition::all()
            .add(dialect::transaction_sees_commits())
            .add(tombstone::is_missing(M::RESOURCE, parameters.next())),
        // Else the database would draw what the other side draws too.
        Kind::Insert if M::KEYS == Keys::Interleaved => Condition::all().add(keys::are_interleaved::<M>()),
        _ => Condition::all(),
    };
    let (columns, values): (Vec<_>, Vec<_>) = values::<M>(parameters, is_written).unzip();
    let values = Query::select()
        .exprs(values)
        .from(settings::TABLE)
        .and_where(settings::may_publish())
        .cond_where(may_insert)
        .to_owned();
    let mut insert = Query::insert();
    insert.into_table(M::Entity::default().table_ref()).columns(columns).returning(all_columns::<M>());
    insert.select_from(values).map_err(|error| DbErr::Custom(error.to_string()))?;
    Ok(insert.into())
}

fn update<M: Syncable>(parameters: &mut Parameters, is_written: &[bool]) -> SubQueryStatement {
    let may_publish =
        Query::select().expr(Expr::val(1)).from(settings::TABLE).and_where(settings::may_publish()).to_owned();
    let version = || M::VERSION.into_expr();
    // As `version::draw` does it: now, but above what it replaces.
    let above = version().add(Expr::cust("interval '1 microsecond'"));
    let drawn = Func::greatest([M::VERSION.save_as(parameters.next()), above]);
    // Above any other, no save can go, as the hooks say.
    let may_go_above = version().lt(M::VERSION.save_as(parameters.next()));
    let has_key = row::key_columns::<M>()
        .fold(Condition::all(), |all, column| all.add(column.into_expr().eq(column.save_as(parameters.next()))));
    let mut update = Query::update();
    update
        .table(M::Entity::default().table_ref())
        .values(values::<M>(parameters, is_written))
        .value(M::VERSION, drawn)
        .cond_where(has_key)
        .and_where(may_go_above)
        .and_where(Expr::exists(may_publish))
        .returning(all_columns::<M>());
    update.into()
}

/// The columns that are written, each with its parameter.
fn values<M: Syncable>(parameters: &mut Parameters, is_written: &[bool]) -> impl Iterator<Item = (ColumnOf<M>, Expr)> {
    let written = ColumnOf::<M>::iter().zip(is_written).filter(|(_, is_written)| **is_written);
    written.map(|(column, _)| (column, column.save_as(parameters.next())))
}

fn all_columns<M: Syncable>() -> ReturningClause {
    Query::returning().columns(ColumnOf::<M>::iter())
}

/// The row's key as [`row::resource_id`] writes it, in SQL.
fn id_text<M: Syncable>() -> Option<String> {
    let part = |column: ColumnOf<M>| {
        let name = read_of_row(column);
        match M::get_value_type(column) {
            ArrayType::SmallInt | ArrayType::Int | ArrayType::BigInt | ArrayType::Uuid => Some(format!("{name}::text")),
            ArrayType::String => Some(format!("(to_json({name}) #>> '{{}}')")),
            _ => None,
        }
    };
    let escaped = |part: String| format!("replace(replace({part}, '%', '%25'), '/', '%2F')");
    let parts = row::key_columns::<M>().map(part).collect::<Option<Vec<_>>>()?;
    Some(match parts.as_slice() {
        [single] => single.clone(),
        _ => parts.into_iter().map(escaped).collect::<Vec<_>>().join(" || '/' || "),
    })
}

/// What holds where the row's id can be kept on the other side, in SQL. Where no text is a part of the key, it always can.
fn id_has_form<M: Syncable>(id: &str) -> Option<String> {
    let is_text = |column: ColumnOf<M>| matches!(M::get_value_type(column), ArrayType::String);
    row::key_columns::<M>().any(is_text).then(|| format!("octet_length({id}) BETWEEN 1 AND {MAX_ID_BYTES}"))
}

/// The row's payload as [`row::payload_of`] writes it, in SQL; none of a row whose id has no form.
fn payload_text<M: Syncable>(id: &str) -> Option<String> {
    let value = |field: &Field<ColumnOf<M>>| {
        let column = field.column;
        if is_array(column) {
            return None;
        }
        let value = json_text(&read_of_row(column), &M::get_value_type(column), column.def().is_null())?;
        Some((field.name(), value))
    };
    let fields = M::FIELDS.iter().map(value).collect::<Option<Vec<_>>>()?;
    let have_form = fields.iter().filter_map(|(_, value)| value.has_form.clone()).chain(id_has_form::<M>(id));
    let have_form = have_form.collect::<Vec<_>>().join(" AND ");
    let members = fields.chunks(MOST_VALUES).map(members).collect::<Vec<_>>().join(" || ',' || ");
    Some(format!("CASE WHEN {have_form} THEN '{{' || {members} || '}}' END"))
}

/// These members of a JSON object. One call for all of them is started and run sooner than many operators.
fn members(fields: &[(&str, JsonText)]) -> String {
    let member = |(name, _): &(&str, JsonText)| Json::from(*name).to_string().replace('%', "%%") + ":%s";
    let pattern = fields.iter().map(member).collect::<Vec<_>>().join(",").replace('\'', "''");
    let values = fields.iter().map(|(_, value)| value.text.as_str()).collect::<Vec<_>>().join(", ");
    format!("format('{pattern}', {values})")
}

/// A column of the row as the entity reads it, which may be by a cast.
fn read_of_row(column: impl ColumnTrait) -> String {
    let read = Query::select().expr(column.select_as(Expr::col((ROW, column)))).to_string(PostgresQueryBuilder);
    read.trim_start_matches("SELECT ").to_owned()
}
