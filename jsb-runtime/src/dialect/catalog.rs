//! What a database says of its tables and of itself, each kind in its own catalog.

use sea_orm::{ConnectionTrait, DbBackend, DbErr, QueryResult, Statement, Value};

use super::sees_commits;

/// What one kind of database says of itself, in one row; nothing from another kind, which has no such catalog.
async fn look_up<C: ConnectionTrait>(
    db: &C,
    kind: DbBackend,
    sql: &str,
    values: impl IntoIterator<Item = Value>,
) -> Result<Option<QueryResult>, DbErr> {
    if db.get_database_backend() != kind {
        return Ok(None);
    }
    db.query_one_raw(Statement::from_sql_and_values(kind, sql, values)).await
}

/// The default isolation level, if transactions would not see what others commit meanwhile.
pub(crate) async fn unfit_isolation<C: ConnectionTrait>(db: &C) -> Result<Option<String>, DbErr> {
    let sql = "SELECT current_setting('default_transaction_isolation')";
    let level = look_up(db, DbBackend::Postgres, sql, []).await?;
    let level: Option<String> = level.map(|row| row.try_get_by_index(0)).transpose()?;
    Ok(level.filter(|level| !sees_commits(level)))
}

/// Whether the database may draw the key of a deleted row again.
pub(crate) async fn reuses_keys<C: ConnectionTrait>(db: &C, table: &str) -> Result<bool, DbErr> {
    let sql = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = $1 AND sql NOT LIKE '%AUTOINCREMENT%'";
    Ok(look_up(db, DbBackend::Sqlite, sql, [table.into()]).await?.is_some())
}

/// How many digits of a second PostgreSQL was told to keep in this column; `None` if nothing was said, and all are kept.
pub(crate) async fn digits_of_seconds<C: ConnectionTrait>(
    db: &C,
    table: &str,
    column: &str,
) -> Result<Option<i32>, DbErr> {
    let sql = "SELECT atttypmod FROM pg_attribute \
               WHERE attrelid = to_regclass(quote_ident($1)) AND attname = $2 AND atttypmod >= 0";
    let digits = look_up(db, DbBackend::Postgres, sql, [table.into(), column.into()]).await?;
    digits.map(|row| row.try_get_by_index(0)).transpose()
}

/// How far apart the keys are that PostgreSQL draws for this column, and the one that it drew last, as far as it tells.
pub(crate) async fn sequence_of<C: ConnectionTrait>(
    db: &C,
    table: &str,
    column: &str,
) -> Result<Option<(i64, Option<i64>)>, DbErr> {
    let sql = "SELECT seqincrement, \
               CASE WHEN has_sequence_privilege(seqrelid, 'SELECT, USAGE') THEN pg_sequence_last_value(seqrelid) END \
               FROM pg_sequence WHERE seqrelid = pg_get_serial_sequence(quote_ident($1), $2)::regclass";
    let sequence = look_up(db, DbBackend::Postgres, sql, [table.into(), column.into()]).await?;
    sequence.map(|row| Ok((row.try_get_by_index(0)?, row.try_get_by_index(1)?))).transpose()
}

/// Has PostgreSQL draw above this key, where it is in the lower half of those that the column's sequence may draw, and this
/// user may set that. Never lower than it would: a sequence that has drawn nothing yet begins at its start, and one that is not
/// far below is brought there by drawing, since others may draw at this moment.
pub(crate) async fn raise_sequence<C: ConnectionTrait>(
    db: &C,
    table: &str,
    column: &str,
    id: i64,
) -> Result<(), DbErr> {
    let sql = "SELECT CASE WHEN $3 - drawn <= 1000 * seqincrement \
               THEN (SELECT max(draw) FROM (SELECT nextval(seqrelid::regclass) AS draw \
                   FROM generate_series(drawn + 1, $3, seqincrement)) AS draws) \
               ELSE setval(seqrelid::regclass, $3) END \
               FROM (SELECT seqrelid, seqincrement, seqmax, CASE WHEN has_sequence_privilege(seqrelid, 'SELECT, USAGE') \
                   THEN coalesce(pg_sequence_last_value(seqrelid), seqstart - 1) END AS drawn FROM pg_sequence \
                   WHERE seqrelid = pg_get_serial_sequence(quote_ident($1), $2)::regclass \
                   AND has_sequence_privilege(seqrelid, 'UPDATE')) AS sequence \
               WHERE seqincrement > 0 AND drawn < $3 AND $3 <= seqmax / 2";
    let values = [table.into(), column.into(), id.into()];
    db.execute_raw(Statement::from_sql_and_values(DbBackend::Postgres, sql, values)).await.map(drop)
}

/// A column of a foreign key, and what the database does to rows of the child by itself when the parent goes or changes.
pub(crate) struct ForeignKey {
    pub(crate) child: String,
    pub(crate) column: String,
    pub(crate) parent: String,
    pub(crate) action: Option<String>,
}

/// The foreign keys of these tables, column by column.
pub(crate) async fn foreign_keys<C: ConnectionTrait>(db: &C, tables: &[&str]) -> Result<Vec<ForeignKey>, DbErr> {
    let backend = db.get_database_backend();
    let mut found = Vec::new();
    for table in tables {
        let sql = match backend {
            DbBackend::Postgres => {
                "SELECT a.attname::text AS column_name, f.relname::text AS parent, coalesce(\
                     CASE c.confdeltype WHEN 'c' THEN 'DELETE CASCADE' WHEN 'n' THEN 'DELETE SET NULL' \
                     WHEN 'd' THEN 'DELETE SET DEFAULT' END, \
                     CASE c.confupdtype WHEN 'c' THEN 'UPDATE CASCADE' WHEN 'n' THEN 'UPDATE SET NULL' \
                     WHEN 'd' THEN 'UPDATE SET DEFAULT' END) AS action \
                 FROM pg_constraint c JOIN pg_class f ON f.oid = c.confrelid \
                 JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = ANY(c.conkey) \
                 WHERE c.contype = 'f' AND c.conrelid = to_regclass(quote_ident($1))"
            }
            _ => {
                "SELECT \"from\" AS column_name, \"table\" AS parent, \
                 CASE WHEN on_delete IN ('CASCADE', 'SET NULL', 'SET DEFAULT') THEN 'DELETE ' || on_delete \
                 WHEN on_update IN ('CASCADE', 'SET NULL', 'SET DEFAULT') THEN 'UPDATE ' || on_update END AS action \
                 FROM pragma_foreign_key_list($1)"
            }
        };
        for row in db.query_all_raw(Statement::from_sql_and_values(backend, sql, [(*table).into()])).await? {
            let parent: String = row.try_get("", "parent")?;
            let is_parent = |table: &&&str| is_same_name(backend, table, &parent);
            let parent = tables.iter().find(is_parent).map_or(parent.clone(), |table| (*table).to_owned());
            let (column, action) = (row.try_get("", "column_name")?, row.try_get("", "action")?);
            found.push(ForeignKey { child: (*table).to_owned(), column, parent, action });
        }
    }
    Ok(found)
}

/// Whether two names are of one table or column: SQLite takes and gives them in any case.
pub(crate) fn is_same_name(backend: DbBackend, one: &str, other: &str) -> bool {
    match backend {
        DbBackend::Sqlite => one.eq_ignore_ascii_case(other),
        _ => one == other,
    }
}

/// A column, and the collation or the type by which texts are equal in it that are not so byte by byte. SQLite says that of the
/// primary key's columns alone.
pub(crate) struct TableColumn {
    pub(crate) name: String,
    pub(crate) lax_collation: Option<String>,
}

/// The columns of a table that this user may read, without a lock on it; none where there is no such table.
pub(crate) async fn columns<C: ConnectionTrait>(db: &C, table: &str) -> Result<Vec<TableColumn>, DbErr> {
    let backend = db.get_database_backend();
    let sql = match backend {
        // A domain over `citext` is written as that is.
        DbBackend::Postgres => {
            "SELECT a.attname::text AS name, CASE WHEN output.proname = 'citextout' THEN 'citext' \
                 WHEN NOT c.collisdeterministic THEN c.collname::text END AS lax_collation \
             FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid JOIN pg_proc output ON output.oid = t.typoutput \
             LEFT JOIN pg_collation c ON c.oid = a.attcollation \
             WHERE a.attrelid = to_regclass(quote_ident($1)) AND a.attnum > 0 AND NOT a.attisdropped \
             AND has_column_privilege(a.attrelid, a.attnum, 'SELECT')"
        }
        _ => {
            "SELECT name, (SELECT part.coll FROM pragma_index_list($1) AS i JOIN pragma_index_xinfo(i.name) AS part \
                 WHERE i.origin = 'pk' AND part.\"key\" AND part.name = of_table.name \
                 AND part.coll <> 'BINARY' COLLATE NOCASE) AS lax_collation \
             FROM pragma_table_xinfo($1) AS of_table"
        }
    };
    let rows = db.query_all_raw(Statement::from_sql_and_values(backend, sql, [table.into()])).await?;
    let columns = rows.iter().map(|row| {
        Ok(TableColumn { name: row.try_get("", "name")?, lax_collation: row.try_get("", "lax_collation")? })
    });
    columns.collect()
}

/// The columns into which only the database may write.
pub(crate) async fn generated_columns<C: ConnectionTrait>(db: &C, table: &str) -> Result<Vec<String>, DbErr> {
    let backend = db.get_database_backend();
    let sql = match backend {
        DbBackend::Postgres => {
            "SELECT attname::text FROM pg_attribute WHERE attrelid = to_regclass(quote_ident($1)) \
             AND NOT attisdropped AND (attidentity = 'a' OR attgenerated <> '')"
        }
        _ => "SELECT name FROM pragma_table_xinfo($1) WHERE hidden IN (2, 3)",
    };
    let rows = db.query_all_raw(Statement::from_sql_and_values(backend, sql, [table.into()])).await?;
    rows.iter().map(|row| row.try_get_by_index(0)).collect()
}
