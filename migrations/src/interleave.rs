//! Interleaved keys: node `k` of `n` draws only ids with `id mod n = k`.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::{ConnectionTrait, DbBackend, QueryResult, Statement, TransactionTrait, Value};

/// Makes a table's auto-increment key interleaved: from now on node `node_index` of `node_count` draws only ids
/// whose remainder by `node_count` is `node_index`, above every id that is there, and above every one that PostgreSQL's
/// sequence has drawn or that SQLite remembers (AUTOINCREMENT).
///
/// Run it after the table and JSB's own tables exist. It may run at every start: a table that is interleaved
/// already is left alone. Where the other side has rows that are not here yet, bring them here first: the ids that it draws
/// need not be above theirs.
///
/// # Errors
///
/// When the index is not below the count, when the table is interleaved in another way already, when its ids are used up, or
/// when the database fails.
///
/// # Example
///
/// ```
/// # use sea_orm_migration::prelude::*;
/// # async fn example(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
/// // this system draws 1, 3, 5 ..; the other one, node 0 of 2, draws 2, 4, 6 ..
/// jsb_migrations::interleave(manager, "organizations", "id", 1, 2).await
/// # }
/// ```
pub async fn interleave(
    manager: &SchemaManager<'_>,
    table: &str,
    column: &str,
    node_index: u32,
    node_count: u32,
) -> Result<(), DbErr> {
    if node_index >= node_count {
        return Err(DbErr::Custom(format!("node {node_index} of {node_count}: the index must be below the count")));
    }
    let (db, node) = (manager.get_connection(), Node { index: node_index.into(), count: node_count.into() });
    if let Some(found) = interleaved_as(db, table).await? {
        // Without a write, for which it might wait long on SQLite.
        return node.must_be(found, table);
    }
    let txn = db.begin().await?;
    interleave_in(&txn, table, column, node).await?;
    txn.commit().await
}

struct Node {
    index: i64,
    count: i64,
}

impl Node {
    /// The smallest id of this node's class that is above this one.
    fn first_above(&self, id: i64) -> Result<i64, DbErr> {
        let above = Ord::max(id, 0).checked_add(1);
        let first = above.and_then(|above| above.checked_add((self.index - above).rem_euclid(self.count)));
        first.ok_or_else(|| DbErr::Custom(format!("no id is left above {id}")))
    }

    /// Refuses a table that was interleaved as another node.
    fn must_be(&self, found: (i64, i64), table: &str) -> Result<(), DbErr> {
        if found == (self.index, self.count) {
            return Ok(());
        }
        Err(DbErr::Custom(format!(
            "table `{table}` draws ids as node {} of {} already, not {} of {}; to change that, stop both applications once all \
             is applied, and delete the table's row of `sync_keys` on both sides: see \"Another share of the keys\" in docs/changes.md",
            found.0, found.1, self.index, self.count
        )))
    }
}

/// Of two processes that start at once, the one whose row is inserted sets the table up; the other waits for it here.
async fn interleave_in<C: ConnectionTrait>(db: &C, table: &str, column: &str, node: Node) -> Result<(), DbErr> {
    let insert = Query::insert()
        .into_table("sync_keys")
        .columns(["table_name", "node_index", "node_count", "next_id"])
        .values_panic([table.into(), (node.index as i32).into(), (node.count as i32).into(), 0_i64.into()])
        .on_conflict(OnConflict::column("table_name").do_nothing().to_owned())
        .to_owned();
    if db.execute(&insert).await?.rows_affected() == 0 {
        return interleaved_as(db, table).await?.map_or(Ok(()), |found| node.must_be(found, table));
    }
    let next_id = match db.get_database_backend() {
        DbBackend::Postgres => set_sequence(db, table, column, &node).await?,
        _ => node.first_above(Ord::max(highest_id(db, table, column).await?, remembered_id(db, table).await?))?,
    };
    let remember = Query::update()
        .table("sync_keys")
        .value("next_id", next_id)
        .and_where(Expr::col("table_name").eq(table))
        .to_owned();
    db.execute(&remember).await.map(drop)
}

async fn interleaved_as<C: ConnectionTrait>(db: &C, table: &str) -> Result<Option<(i64, i64)>, DbErr> {
    let select = Query::select()
        .columns(["node_index", "node_count"])
        .from("sync_keys")
        .and_where(Expr::col("table_name").eq(table))
        .to_owned();
    let node = |row: QueryResult| -> Result<(i64, i64), DbErr> {
        Ok((row.try_get::<i32>("", "node_index")?.into(), row.try_get::<i32>("", "node_count")?.into()))
    };
    db.query_one(&select).await?.map(node).transpose()
}

/// The highest id in the table.
async fn highest_id<C: ConnectionTrait>(db: &C, table: &str, column: &str) -> Result<i64, DbErr> {
    let select =
        Query::select().expr_as(Expr::col(column.to_owned()).max(), "max_id").from(table.to_owned()).to_owned();
    let highest = match db.query_one(&select).await? {
        Some(row) if db.get_database_backend() == DbBackend::Postgres => highest_integer(&row)?,
        Some(row) => row.try_get::<Option<i64>>("", "max_id")?,
        None => None,
    };
    Ok(highest.unwrap_or(0))
}

/// The highest id that the table ever had, where SQLite keeps it: of an AUTOINCREMENT key. JSB's outbox has one, so that the
/// catalog is there.
async fn remembered_id<C: ConnectionTrait>(db: &C, table: &str) -> Result<i64, DbErr> {
    let select =
        Query::select().column("seq").from("sqlite_sequence").and_where(Expr::col("name").eq(table)).to_owned();
    let remembered = db.query_one(&select).await?.map(|row| row.try_get::<i64>("", "seq")).transpose()?;
    Ok(remembered.unwrap_or(0))
}

/// PostgreSQL is strict about the width of an integer column.
fn highest_integer(row: &QueryResult) -> Result<Option<i64>, DbErr> {
    row.try_get::<Option<i64>>("", "max_id")
        .or_else(|_| row.try_get::<Option<i32>>("", "max_id").map(|id| id.map(i64::from)))
}

/// Has the column's sequence draw this node's ids from now on; gives back the first of them.
async fn set_sequence<C: ConnectionTrait>(db: &C, table: &str, column: &str, node: &Node) -> Result<i64, DbErr> {
    let sequence = sequence_to_set(db, table, column).await?;
    // Asked after this, which waits for every transaction that has drawn an id, and lets nobody else draw one.
    db.execute_unprepared(&format!("ALTER SEQUENCE {sequence} INCREMENT BY {}", node.count)).await?;
    let used = Ord::max(highest_id(db, table, column).await?, last_drawn(db, &sequence).await?);
    let next_id = node.first_above(used)?;
    // TRUNCATE .. RESTART IDENTITY goes back to the start.
    db.execute_unprepared(&format!("ALTER SEQUENCE {sequence} START WITH {next_id}")).await?;
    let set = "SELECT setval($1::regclass, $2, false)";
    db.execute_raw(postgres(set, [sequence.into(), next_id.into()])).await?;
    Ok(next_id)
}

/// The id up to which a sequence has drawn. One that was set, and has drawn none since, was set above those before.
async fn last_drawn<C: ConnectionTrait>(db: &C, sequence: &str) -> Result<i64, DbErr> {
    let sql = format!("SELECT CASE WHEN is_called THEN last_value ELSE last_value - 1 END AS drawn FROM {sequence}");
    let row = db.query_one_raw(Statement::from_string(DbBackend::Postgres, sql)).await?;
    Ok(row.map(|row| row.try_get::<i64>("", "drawn")).transpose()?.unwrap_or(0))
}

/// The column's sequence, written as SQL has to write it. A column that has none gets one.
async fn sequence_to_set<C: ConnectionTrait>(db: &C, table: &str, column: &str) -> Result<String, DbErr> {
    let mut sequence = sequence_of(db, table, column).await?;
    if sequence.is_none() {
        let alter = format!("ALTER TABLE {} ALTER COLUMN {}", quoted(table), quoted(column));
        db.execute_unprepared(&format!("{alter} DROP DEFAULT")).await?;
        db.execute_unprepared(&format!("{alter} ADD GENERATED BY DEFAULT AS IDENTITY")).await?;
        sequence = sequence_of(db, table, column).await?;
    }
    sequence.ok_or_else(|| DbErr::Custom(format!("{table}.{column} has no sequence to interleave")))
}

async fn sequence_of<C: ConnectionTrait>(db: &C, table: &str, column: &str) -> Result<Option<String>, DbErr> {
    let sql = "SELECT pg_get_serial_sequence($1, $2) AS name";
    let found = db.query_one_raw(postgres(sql, [quoted(table).into(), column.into()])).await?;
    Ok(found.map(|row| row.try_get::<Option<String>>("", "name")).transpose()?.flatten())
}

fn postgres(sql: &str, values: [Value; 2]) -> Statement {
    Statement::from_sql_and_values(DbBackend::Postgres, sql, values)
}

/// Names cannot be bound; both come from the application's own code.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
