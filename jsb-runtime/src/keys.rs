//! Interleaved keys: node `k` of `n` draws only ids with `id mod n = k`, so that two systems never draw the same.

use sea_orm::sea_query::{ArrayType, Condition, Expr, ExprTrait, Query, Value};
use sea_orm::{ActiveModelTrait, ActiveValue, ConnectionTrait, DbBackend, DbErr, EntityName, IdenStatic};

use crate::config::Node;
use crate::schema::{Schema, Values};
use crate::syncable::{ActiveModelOf, ColumnOf, Keys, Syncable};
use crate::{ask, dialect, row};

const TABLE: &str = "sync_keys";

/// Draws the key of a row where the database does not do so itself: an interleaved one on SQLite. One that was never interleaved
/// is refused, since the other side would draw it too; whether they are may be known.
pub(crate) async fn draw<M: Syncable, C: ConnectionTrait>(
    row: &mut ActiveModelOf<M>,
    db: &C,
    are_interleaved: Option<bool>,
) -> Result<(), DbErr> {
    if let Some(column) = left_to_the_database::<M>(row) {
        return Err(must_be_given::<M>(column));
    }
    if M::KEYS != Keys::Interleaved {
        return Ok(());
    }
    if db.get_database_backend() == DbBackend::Postgres {
        let are_interleaved = match are_interleaved {
            Some(known) => known,
            None => node_of(db, table::<M>()).await?.is_some(),
        };
        return are_interleaved.then_some(()).ok_or_else(not_interleaved::<M>);
    }
    let Some(column) = row::key_columns::<M>().next() else { return Ok(()) };
    let mut id = next::<M, _>(db, column).await?;
    // Nothing draws above a key like this, so it may be taken.
    while passed_over(&id).is_none() && is_taken::<M, _>(db, column, &id).await? {
        id = next::<M, _>(db, column).await?;
    }
    row.set(column, id);
    Ok(())
}

/// The next key of this node's share, on SQLite.
async fn next<M: Syncable, C: ConnectionTrait>(db: &C, column: ColumnOf<M>) -> Result<Value, DbErr> {
    let update = Query::update()
        .table(TABLE)
        .value("next_id", Expr::col("next_id").add(Expr::col("node_count")))
        .and_where(Expr::col("table_name").eq(table::<M>()))
        .returning(Query::returning().expr(Expr::col("next_id").sub(Expr::col("node_count"))))
        .to_owned();
    let drawn = db.query_one(&update).await?.ok_or_else(not_interleaved::<M>)?;
    let id: i64 = drawn.try_get_by_index(0)?;
    let id = match M::get_value_type(column) {
        ArrayType::Int => i32::try_from(id).ok().map(Value::from),
        ArrayType::Unsigned => u32::try_from(id).ok().map(Value::from),
        ArrayType::BigUnsigned => u64::try_from(id).ok().map(Value::from),
        _ => Some(Value::from(id)),
    };
    id.ok_or_else(|| DbErr::Custom(format!("the ids of `{}` are used up", table::<M>())))
}

async fn is_taken<M: Syncable, C: ConnectionTrait>(db: &C, column: ColumnOf<M>, id: &Value) -> Result<bool, DbErr> {
    ask::any(db, table::<M>(), Condition::all().add(Expr::col(column).eq(Expr::val(id.clone())))).await
}

/// A part of a natural key that is not given, and that the database may complete by a value that it has given before. A UUID
/// it draws at random.
pub(crate) fn left_to_the_database<M: Syncable>(row: &ActiveModelOf<M>) -> Option<ColumnOf<M>> {
    let is_missing = |column: &ColumnOf<M>| matches!(row.get(*column), ActiveValue::NotSet);
    let mut columns = row::key_columns::<M>().filter(|_| M::KEYS == Keys::Natural);
    columns.find(|column| is_missing(column) && M::get_value_type(*column) != ArrayType::Uuid)
}

fn must_be_given<M: Syncable>(column: ColumnOf<M>) -> DbErr {
    use ArrayType::{BigInt, BigUnsigned, Int, SmallInt, SmallUnsigned, TinyInt, TinyUnsigned, Unsigned};
    let is_composite = row::key_columns::<M>().count() > 1;
    let is =
        if is_composite { "a part of a composite key" } else { "declared a natural key (`auto_increment = false`)" };
    let (why, or) = match M::get_value_type(column) {
        TinyInt | SmallInt | Int | BigInt | TinyUnsigned | SmallUnsigned | Unsigned | BigUnsigned => {
            let or = if is_composite {
                "draw it yourself, or make it a `Uuid`"
            } else {
                "or choose `keys = \"interleaved\"`"
            };
            ("its number must be given: both systems would draw the same ones", or)
        }
        _ => ("its value must be given: a default may be the key of a row that was deleted", "or make it a `Uuid`"),
    };
    DbErr::Custom(format!("`{}.{}` is {is}, so that {why}; {or}", M::RESOURCE, column.as_str()))
}

/// Takes a key that the caller chose, unless it is from the other node's share.
pub(crate) async fn take<M: Syncable, C: ConnectionTrait>(db: &C, key: &[Value]) -> Result<(), DbErr> {
    let Some((value, id)) = interleaved::<M>(key) else { return Ok(()) };
    let node = node_of(db, table::<M>()).await?.ok_or_else(not_interleaved::<M>)?;
    if is_of(node, id) {
        return match passed_over(value) {
            Some(id) => draw_above(db, key_column::<M>(), id).await,
            None => Ok(()),
        };
    }
    Err(DbErr::Custom(format!(
        "id {id} of `{}` belongs to another node: this one is node {} of {} and may choose only ids with that remainder; \
         leave the id `NotSet` to have one drawn",
        M::RESOURCE,
        node.index,
        node.count
    )))
}

/// Lets later draws pass over a key that is taken, if it is of this node's share.
pub(crate) async fn pass_over<M: Syncable, C: ConnectionTrait>(db: &C, key: &[Value]) -> Result<(), DbErr> {
    let passed_over = interleaved::<M>(key).and_then(|(value, _)| passed_over(value));
    pass_over_all(db, key_column::<M>(), passed_over.into_iter().collect()).await
}

/// The same for the keys of applied rows: of this node's share are those of rows that were lost here, or are older than the
/// shares.
pub(crate) async fn pass_over_applied<'a, C: ConnectionTrait>(
    db: &C,
    schema: &Schema,
    rows: impl IntoIterator<Item = &'a Values>,
) -> Result<(), DbErr> {
    if schema.keys != Keys::Interleaved {
        return Ok(());
    }
    let key = schema.key[0];
    let ids = rows.into_iter().filter_map(|row| passed_over(row[key].as_ref()?)).collect();
    pass_over_all(db, KeyColumn { table: schema.table, column: schema.columns[key].name }, ids).await
}

/// Whether the entity's keys were interleaved, as a condition.
pub(crate) fn are_interleaved<M: Syncable>() -> Expr {
    let node =
        Query::select().expr(Expr::val(1)).from(TABLE).and_where(Expr::col("table_name").eq(table::<M>())).to_owned();
    Expr::exists(node)
}

/// Whether a key is of this node's share, as an expression.
pub(crate) fn is_own(schema: &Schema, key: &[Value]) -> Expr {
    let number = key.first().filter(|_| schema.keys == Keys::Interleaved).and_then(number);
    let Some(id) = number else { return Expr::val(false) };
    let count = Expr::col("node_count");
    // The remainder of a negative number is negative.
    let remainder = Expr::val(id).modulo(count.clone()).add(count.clone()).modulo(count);
    let own = Query::select()
        .expr(Expr::val(1))
        .from(TABLE)
        .and_where(Expr::col("table_name").eq(schema.table))
        .and_where(Expr::col("node_index").eq(remainder))
        .to_owned();
    Expr::exists(own)
}

async fn pass_over_all<C: ConnectionTrait>(db: &C, column: KeyColumn, ids: Vec<i64>) -> Result<(), DbErr> {
    if ids.is_empty() {
        return Ok(());
    }
    let Some(node) = node_of(db, column.table).await? else { return Ok(()) };
    match ids.into_iter().filter(|id| is_of(node, *id)).max() {
        Some(highest) => draw_above(db, column, highest).await,
        None => Ok(()),
    }
}

/// A column for which keys are drawn.
struct KeyColumn {
    table: &'static str,
    column: &'static str,
}

/// Makes later draws go above `id`. Else PostgreSQL would draw each of the taken keys once, in vain; on SQLite the draw would be
/// taken back with the insert, and the same key be drawn for ever.
async fn draw_above<C: ConnectionTrait>(db: &C, KeyColumn { table, column }: KeyColumn, id: i64) -> Result<(), DbErr> {
    if db.get_database_backend() == DbBackend::Postgres {
        return dialect::raise_sequence(db, table, column, id).await;
    }
    let update = Query::update()
        .table(TABLE)
        .value("next_id", Expr::val(id).add(Expr::col("node_count")))
        .and_where(Expr::col("table_name").eq(table))
        .and_where(Expr::col("next_id").lte(id))
        .to_owned();
    db.execute(&update).await.map(drop)
}

/// Whether a key is of a node's share.
pub(crate) fn is_key_of(node: Node, key: &[Value]) -> bool {
    key.first().and_then(number).is_some_and(|id| is_of(node, id))
}

fn is_of(node: Node, id: i64) -> bool {
    id.rem_euclid(node.count.into()) == i64::from(node.index)
}

/// An interleaved key, and the number that it is.
fn interleaved<M: Syncable>(key: &[Value]) -> Option<(&Value, i64)> {
    match key {
        [id] if M::KEYS == Keys::Interleaved => Some((id, number(id)?)),
        _ => None,
    }
}

fn number(id: &Value) -> Option<i64> {
    match *id {
        Value::BigInt(id) => id,
        Value::Int(id) => id.map(i64::from),
        Value::BigUnsigned(id) => id.and_then(|id| id.try_into().ok()),
        Value::Unsigned(id) => id.map(i64::from),
        _ => None,
    }
}

/// The number of a key that later draws go above. None in the upper half of its type: the other app, or a caller, could leave no
/// key to draw.
fn passed_over(id: &Value) -> Option<i64> {
    let highest = match id {
        Value::Int(_) => i32::MAX.into(),
        Value::Unsigned(_) => u32::MAX.into(),
        _ => i64::MAX,
    };
    number(id).filter(|id| *id <= highest / 2)
}

/// How a table's keys were interleaved by the migration helper.
pub(crate) async fn node_of<C: ConnectionTrait>(db: &C, table: &str) -> Result<Option<Node>, DbErr> {
    let select = Query::select()
        .columns(["node_index", "node_count"])
        .from(TABLE)
        .and_where(Expr::col("table_name").eq(table))
        .to_owned();
    let Some(row) = db.query_one(&select).await? else { return Ok(None) };
    let part = |name| row.try_get::<i32>("", name).map(i32::unsigned_abs);
    Ok(Some(Node { index: part("node_index")?, count: part("node_count")? }))
}

pub(crate) fn table<M: Syncable>() -> &'static str {
    M::Entity::default().table_name()
}

fn key_column<M: Syncable>() -> KeyColumn {
    KeyColumn { table: table::<M>(), column: row::key_columns::<M>().next().map_or("", |column| column.as_str()) }
}

fn not_interleaved<M: Syncable>() -> DbErr {
    DbErr::Custom(format!(
        "table `{table}` has interleaved keys by its `#[syncable(keys = \"interleaved\")]`, but they were never set up: \
         call `jsb_migrations::interleave(manager, \"{table}\", ..)` after its migration",
        table = table::<M>()
    ))
}
