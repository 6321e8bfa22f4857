//! What the databases' errors mean.

use sea_orm::sqlx::error::DatabaseError;
use sea_orm::{ConnAcquireErr, ConnectionTrait, DbBackend, DbErr, RuntimeErr, Statement, sqlx};

/// What an error of the database means for the one who got it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The database is away, starting, stopping, full or read-only: nobody's fault, wait for it.
    Outage,
    /// A deadlock, a serialization failure or a busy database: the same transaction may well succeed at once.
    Contention,
    /// A foreign key does not hold.
    ForeignKey,
    /// A unique value is taken.
    Unique,
    /// The data break another constraint or have no form in the column: no retry heals it.
    BadData,
    /// Anything else.
    Other,
}

/// What an error means.
pub(crate) fn fault(error: &DbErr) -> Fault {
    match error {
        DbErr::ConnectionAcquire(_) | DbErr::Conn(_) => Fault::Outage,
        DbErr::Exec(error) | DbErr::Query(error) => runtime_fault(error),
        _ => Fault::Other,
    }
}

fn runtime_fault(error: &RuntimeErr) -> Fault {
    match error {
        RuntimeErr::SqlxError(error) => sqlx_fault(error),
        _ => Fault::Other,
    }
}

/// What an error that comes out of the application means, where it is the database's: as an error of SeaORM's or of the driver's,
/// or as what is behind one that was taken over as the application's own.
pub(crate) fn fault_behind(error: &(dyn std::error::Error + 'static)) -> Option<Fault> {
    let known = |error: &(dyn std::error::Error + 'static)| {
        let of_sea_orm = error.downcast_ref::<DbErr>().map(fault);
        let of_runtime = || error.downcast_ref::<RuntimeErr>().map(runtime_fault);
        let of_pool = || error.is::<ConnAcquireErr>().then_some(Fault::Outage);
        let of_driver = || error.downcast_ref::<sqlx::Error>().map(sqlx_fault);
        of_sea_orm.or_else(of_runtime).or_else(of_pool).or_else(of_driver)
    };
    std::iter::successors(Some(error), |error| error.source()).find_map(known)
}

/// Whether it may be over the next time, through nothing that the data or the code have to do with.
pub(crate) fn is_passing(error: &DbErr) -> bool {
    matches!(fault(error), Fault::Outage | Fault::Contention)
}

fn sqlx_fault(error: &sqlx::Error) -> Fault {
    use sqlx::Error as E;
    match error {
        E::Io(_) | E::Tls(_) | E::Protocol(_) | E::PoolTimedOut | E::PoolClosed | E::WorkerCrashed => Fault::Outage,
        E::Database(error) if error.try_downcast_ref::<sqlx::postgres::PgDatabaseError>().is_some() => {
            postgres_fault(&error.code().unwrap_or_default())
        }
        E::Database(error) => sqlite_fault(&error.code().unwrap_or_default(), error.message()),
        _ => Fault::Other,
    }
}

/// By SQLSTATE, <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
fn postgres_fault(code: &str) -> Fault {
    match code {
        // The second is a violated RESTRICT, by its own code since PostgreSQL 18.
        "23503" | "23001" => Fault::ForeignKey,
        "23505" | "23P01" => Fault::Unique,
        "40001" | "40P01" | "55P03" => Fault::Contention,
        "25006" => Fault::Outage,
        // A cancelled statement, a statement_timeout or a temp_file_limit is about the statement, not the database.
        "57014" | "53400" => Fault::Other,
        _ => match code.get(..2) {
            Some("08" | "53" | "57" | "58") => Fault::Outage,
            // The last is a limit of the server's, such as the size of an index entry.
            Some("22" | "23" | "54") => Fault::BadData,
            _ => Fault::Other,
        },
    }
}

/// By extended result code, <https://www.sqlite.org/rescode.html>.
fn sqlite_fault(code: &str, message: &str) -> Fault {
    match code.parse::<i32>().unwrap_or_default() {
        787 => Fault::ForeignKey,
        // A trigger's: SQLite's own for RESTRICT, or else the application's.
        1811 if message.contains("FOREIGN KEY constraint failed") => Fault::ForeignKey,
        1555 | 2067 | 2579 => Fault::Unique,
        code => match code & 0xff {
            5 | 6 => Fault::Contention,
            8 | 10 | 13 | 14 => Fault::Outage,
            18..=20 => Fault::BadData,
            _ => Fault::Other,
        },
    }
}

/// The driver's error that a statement met.
fn driver_error(error: &DbErr) -> Option<&sqlx::Error> {
    match error {
        DbErr::Exec(RuntimeErr::SqlxError(error)) | DbErr::Query(RuntimeErr::SqlxError(error)) => Some(error.as_ref()),
        _ => None,
    }
}

/// What the database answered to a statement that it refused.
fn database_error(error: &DbErr) -> Option<&dyn DatabaseError> {
    driver_error(error)?.as_database_error()
}

/// Whether a statement took longer than this database's user may wait for a lock, or for an answer.
pub(crate) fn is_timeout(error: &DbErr) -> bool {
    let code = database_error(error).and_then(|error| error.code());
    matches!(code.as_deref(), Some("55P03" | "57014"))
}

/// Whether somebody else has SQLite's only lock for writing, and had it for as long as was waited.
pub(crate) fn is_locked(error: &DbErr) -> bool {
    let is_sqlites = |error: &dyn DatabaseError| error.try_downcast_ref::<sqlx::sqlite::SqliteError>().is_some();
    fault(error) == Fault::Contention && database_error(error).is_some_and(is_sqlites)
}

/// Whether the connection ended, or the database said that it ends it.
pub(crate) fn ended_connection(error: &DbErr) -> bool {
    match database_error(error).map(|error| error.code().unwrap_or_default()) {
        Some(code) => code.starts_with("08") || code.starts_with("57P"),
        None => driver_error(error).is_some_and(|error| sqlx_fault(error) == Fault::Outage),
    }
}

/// Whether the hooks may succeed where PostgreSQL refused a save in one statement: not if it did not answer, so that the save may
/// have been made, and not for what would be so in whatever way the row is saved.
pub(crate) fn is_for_hooks(error: &DbErr) -> bool {
    // A pooler says so too, when it lost the server that may have made the save.
    if ended_connection(error) || is_timeout(error) {
        return false;
    }
    database_error(error).is_some_and(|error| {
        let is_of_row = |code: &str| code.starts_with("23") && error.table() != Some("outbox_events");
        error.code().is_some_and(|code| !is_of_row(&code))
    })
}

/// The columns of the unique index that an error speaks of.
pub(crate) async fn unique_columns<C: ConnectionTrait>(db: &C, error: &DbErr) -> Result<Vec<String>, DbErr> {
    let Some(error) = database_error(error) else { return Ok(Vec::new()) };
    match (db.get_database_backend(), error.constraint()) {
        (DbBackend::Postgres, Some(index)) => postgres_index_columns(db, error.table(), index).await,
        _ => Ok(sqlite_index_columns(error.message())),
    }
}

async fn postgres_index_columns<C: ConnectionTrait>(
    db: &C,
    table: Option<&str>,
    index: &str,
) -> Result<Vec<String>, DbErr> {
    let sql = "SELECT a.attname::text AS name FROM pg_index i \
               JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid \
               JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY((i.indkey::int2[])[0:i.indnkeyatts - 1]) \
               WHERE c.relname = $1 AND t.relname = $2";
    let values = [index.into(), table.unwrap_or_default().into()];
    let rows = db.query_all_raw(Statement::from_sql_and_values(DbBackend::Postgres, sql, values)).await?;
    rows.iter().map(|row| row.try_get("", "name")).collect()
}

/// SQLite names them in its message: `UNIQUE constraint failed: organizations.domain, organizations.region`.
fn sqlite_index_columns(message: &str) -> Vec<String> {
    let Some((_, columns)) = message.split_once("UNIQUE constraint failed: ") else {
        return Vec::new();
    };
    columns.split(", ").filter_map(|column| column.rsplit_once('.')).map(|(_, name)| name.to_owned()).collect()
}

/// Explains the one error of SQLite whose own message leads nowhere.
pub(crate) fn explained(error: DbErr) -> DbErr {
    const BUSY_SNAPSHOT: &str = "517";
    if database_error(&error).and_then(|error| error.code()).is_none_or(|code| code != BUSY_SNAPSHOT) {
        return error;
    }
    DbErr::Custom(
        "this SQLite transaction has read before it writes, and another one wrote meanwhile (SQLITE_BUSY_SNAPSHOT): \
         begin it with `begin_with_options` and `SqliteTransactionMode::Immediate`, or retry it"
            .to_owned(),
    )
}

/// Whether a statement failed since its table is not there.
pub(crate) fn is_missing_table(error: &DbErr) -> bool {
    const UNDEFINED_TABLE: &str = "42P01";
    database_error(error).is_some_and(|error| {
        error.code().is_some_and(|code| code == UNDEFINED_TABLE) || error.message().contains("no such table")
    })
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;
    use std::error::Error;
    use std::fmt;
    use std::sync::Arc;

    use sea_orm::sqlx::error::ErrorKind;

    use super::*;

    /// What a database says.
    #[derive(Debug, Default)]
    struct Said {
        code: &'static str,
        message: &'static str,
        table: Option<&'static str>,
    }

    impl fmt::Display for Said {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.message)
        }
    }

    impl Error for Said {}

    impl DatabaseError for Said {
        fn message(&self) -> &str {
            self.message
        }

        fn code(&self) -> Option<Cow<'_, str>> {
            Some(self.code.into())
        }

        fn table(&self) -> Option<&str> {
            self.table
        }

        fn as_error(&self) -> &(dyn Error + Send + Sync + 'static) {
            self
        }

        fn as_error_mut(&mut self) -> &mut (dyn Error + Send + Sync + 'static) {
            self
        }

        fn into_error(self: Box<Self>) -> Box<dyn Error + Send + Sync + 'static> {
            self
        }

        fn kind(&self) -> ErrorKind {
            ErrorKind::Other
        }
    }

    /// As it comes through the driver and SeaORM.
    fn error(error: impl Into<sqlx::Error>) -> DbErr {
        DbErr::Query(RuntimeErr::SqlxError(Arc::new(error.into())))
    }

    fn said(code: &'static str) -> DbErr {
        error(Said { code, ..Said::default() })
    }

    #[test]
    fn the_sqlstates_of_postgres_have_their_meanings() {
        let meanings: [(Fault, &[&str]); 6] = [
            (
                Fault::Outage,
                &["08006", "25006", "53100", "53200", "53300", "57P01", "57P02", "57P03", "57P05", "58030", "58P01"],
            ),
            (Fault::Contention, &["40001", "40P01", "55P03"]),
            (Fault::ForeignKey, &["23503", "23001"]),
            (Fault::Unique, &["23505", "23P01"]),
            (Fault::BadData, &["22001", "22P02", "23502", "23514", "54000"]),
            (Fault::Other, &["57014", "53400", "25P02", "42501", "42P01", "XX000", ""]),
        ];
        for (meaning, codes) in meanings {
            for code in codes {
                assert_eq!(postgres_fault(code), meaning, "{code}");
            }
        }
    }

    #[test]
    fn the_result_codes_of_sqlite_have_their_meanings() {
        let meanings: [(Fault, &[&str]); 6] = [
            (Fault::Outage, &["8", "10", "13", "14", "266", "526", "1032", "1034"]),
            (Fault::Contention, &["5", "6", "261", "262", "517", "773"]),
            (Fault::ForeignKey, &["787"]),
            (Fault::Unique, &["1555", "2067", "2579"]),
            (Fault::BadData, &["18", "19", "20", "275", "1299", "1811"]),
            (Fault::Other, &["1", "11", "26", ""]),
        ];
        for (meaning, codes) in meanings {
            for code in codes {
                assert_eq!(sqlite_fault(code, ""), meaning, "{code}");
            }
        }
        assert_eq!(sqlite_fault("1811", "FOREIGN KEY constraint failed"), Fault::ForeignKey);
    }

    #[test]
    fn an_error_that_is_the_driver_s_own_is_an_outage() {
        let away = [
            error(std::io::Error::from(std::io::ErrorKind::ConnectionReset)),
            error(sqlx::Error::Tls("no certificate".into())),
            error(sqlx::Error::Protocol("no answer".to_owned())),
            error(sqlx::Error::PoolTimedOut),
            error(sqlx::Error::PoolClosed),
            error(sqlx::Error::WorkerCrashed),
            DbErr::Conn(RuntimeErr::Internal("no answer".to_owned())),
            DbErr::ConnectionAcquire(ConnAcquireErr::Timeout),
        ];
        for error in away {
            assert!(fault(&error) == Fault::Outage && is_passing(&error), "{error:?}");
            assert_eq!(fault_behind(&error), Some(Fault::Outage), "{error:?}");
        }
        assert_eq!(fault_behind(&sqlx::Error::PoolTimedOut), Some(Fault::Outage));
        assert_eq!(fault_behind(&ConnAcquireErr::Timeout), Some(Fault::Outage));
        assert_eq!(fault_behind(&fmt::Error), None);
        assert_eq!(fault(&error(sqlx::Error::RowNotFound)), Fault::Other);
        assert!(is_passing(&said("5")) && !is_passing(&said("1")));
    }

    #[test]
    fn a_statement_that_took_longer_than_it_may_is_known_by_its_sqlstate() {
        for (code, expected) in [("55P03", true), ("57014", true), ("40001", false), ("57P01", false)] {
            assert_eq!(is_timeout(&said(code)), expected, "{code}");
        }
    }

    #[test]
    fn a_save_is_left_to_the_hooks_where_they_may_succeed() {
        for code in ["08006", "57P01", "57P05", "55P03", "57014"] {
            assert!(!is_for_hooks(&said(code)), "{code}");
        }
        assert!(!is_for_hooks(&error(sqlx::Error::PoolTimedOut)));
        let unique = |table| error(Said { code: "23505", table: Some(table), ..Said::default() });
        assert!(!is_for_hooks(&unique("organizations")));
        assert!(is_for_hooks(&unique("outbox_events")) && is_for_hooks(&said("42P01")));
    }

    #[test]
    fn what_sqlite_says_is_read_in_its_words() {
        let explained = explained(said("517")).to_string();
        assert!(explained.contains("SqliteTransactionMode::Immediate"), "{explained}");
        assert!(is_missing_table(&error(Said { code: "1", message: "no such table: users", ..Said::default() })));
        assert!(is_missing_table(&said("42P01")) && !is_missing_table(&said("1")));
        let taken = "UNIQUE constraint failed: organizations.domain, organizations.region";
        assert_eq!(sqlite_index_columns(taken), ["domain", "region"]);
    }
}
