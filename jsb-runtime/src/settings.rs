//! The one-row table that tells hooks, which see a connection and nothing else, what `start` was configured with.

use sea_orm::sea_query::{Expr, ExprTrait, OnConflict, Query, SelectStatement, UpdateStatement};
use sea_orm::{ConnectionTrait, DbBackend, DbErr, Statement};
use uuid::Uuid;

use crate::{ask, dialect};

pub(crate) const TABLE: &str = "sync_settings";

/// What is to be done where JSB's tables are missing.
pub(crate) const NOT_MIGRATED: &str =
    "the sync tables are not there: add `jsb_migrations::all()` to your Migrator and run it";

/// What must be known before a save, or an event outside of the consumer, is written.
pub(crate) struct SaveSettings {
    pub(crate) use_outbox: bool,
    pub(crate) database_id: String,
    pub(crate) app_name: String,
    /// Whether the transaction sees what others commit meanwhile, which the version rules need.
    read_committed: bool,
    /// Whether the keys of the table were interleaved. SQLite finds that out by drawing.
    pub(crate) are_keys_interleaved: bool,
}

impl SaveSettings {
    /// Refuses a transaction above READ COMMITTED.
    pub(crate) fn must_see_commits(&self) -> Result<(), DbErr> {
        if self.read_committed {
            return Ok(());
        }
        Err(DbErr::Custom(
            "a synced row must be saved, and an event applied, at isolation level READ COMMITTED: above it, versions are drawn and \
             compared by a snapshot that may be older than the row"
                .to_owned(),
        ))
    }
}

/// Reads the settings for a save to a table. Where no bridge was ever started, events wait in the outbox for the first one.
///
/// On SQLite a transaction that was not `begun_to_write` takes the write lock before it reads anything: by an update.
pub(crate) async fn for_save<C: ConnectionTrait>(
    db: &C,
    begun_to_write: bool,
    table: Option<&str>,
) -> Result<SaveSettings, DbErr> {
    let backend = db.get_database_backend();
    let sql = match (backend, begun_to_write) {
        (DbBackend::Postgres, _) => {
            "SELECT s.use_outbox, s.database_id, s.app_name, current_setting('transaction_isolation') AS isolation, \
             EXISTS (SELECT 1 FROM sync_keys WHERE table_name = $1) AS are_keys_interleaved \
             FROM (SELECT 1) AS one LEFT JOIN sync_settings s ON s.id = 1"
        }
        (_, true) => "SELECT use_outbox, database_id, app_name FROM sync_settings WHERE id = 1",
        (_, false) => {
            "UPDATE sync_settings SET use_outbox = use_outbox WHERE id = 1 RETURNING use_outbox, database_id, app_name"
        }
    };
    let statement = match backend {
        DbBackend::Postgres => Statement::from_sql_and_values(backend, sql, [table.into()]),
        _ => Statement::from_string(backend, sql),
    };
    let row = db.query_one_raw(statement).await.map_err(|error| match dialect::is_missing_table(&error) {
        true => DbErr::Custom(format!("{NOT_MIGRATED} ({error})")),
        false => error,
    })?;
    let Some(row) = row else {
        return Ok(SaveSettings {
            use_outbox: true,
            database_id: String::new(),
            app_name: String::new(),
            read_committed: true,
            are_keys_interleaved: true,
        });
    };
    let isolation = match backend {
        DbBackend::Postgres => row.try_get::<String>("", "isolation")?,
        _ => String::new(),
    };
    Ok(SaveSettings {
        use_outbox: row.try_get::<Option<bool>>("", "use_outbox")?.unwrap_or(true),
        database_id: row.try_get::<Option<String>>("", "database_id")?.unwrap_or_default(),
        app_name: row.try_get::<Option<String>>("", "app_name")?.unwrap_or_default(),
        read_committed: backend != DbBackend::Postgres || dialect::sees_commits(&isolation),
        are_keys_interleaved: backend != DbBackend::Postgres || row.try_get("", "are_keys_interleaved")?,
    })
}

/// The same for a save in one statement, as a condition on this table and its only row: a bridge was started here that
/// publishes through the outbox. PostgreSQL only.
pub(crate) fn may_publish() -> Expr {
    Expr::col((TABLE, "use_outbox")).eq(true)
}

/// Writes what the first start was told, and returns the database's own id, which that draws, and the app that it belongs to. A
/// later start writes nothing: a handler that runs may hold SQLite's write lock.
pub(crate) async fn store<C: ConnectionTrait>(
    db: &C,
    app_name: &str,
    use_outbox: bool,
) -> Result<(String, String), DbErr> {
    if let Some(known) = identity(db).await? {
        return Ok(known);
    }
    let insert = Query::insert()
        .into_table(TABLE)
        .columns(["id", "database_id", "app_name", "use_outbox"])
        .values_panic([1.into(), Uuid::now_v7().to_string().into(), app_name.into(), use_outbox.into()])
        .on_conflict(OnConflict::column("id").do_nothing().to_owned())
        .to_owned();
    db.execute(&insert).await?;
    identity(db).await?.ok_or_else(|| DbErr::RecordNotFound(TABLE.to_owned()))
}

async fn identity<C: ConnectionTrait>(db: &C) -> Result<Option<(String, String)>, DbErr> {
    let select = setting("database_id").column("app_name").to_owned();
    let Some(row) = db.query_one(&select).await? else { return Ok(None) };
    Ok(Some((row.try_get("", "database_id")?, row.try_get("", "app_name")?)))
}

/// Writes whether saves go through the outbox from now on, if that is new: a handler that runs may hold SQLite's write lock.
pub(crate) async fn store_use_outbox<C: ConnectionTrait>(db: &C, use_outbox: bool) -> Result<(), DbErr> {
    if ask::one(db, &setting("use_outbox")).await? == Some(use_outbox) {
        return Ok(());
    }
    db.execute(&change("use_outbox", use_outbox)).await.map(drop)
}

/// The database's own id, once a bridge was started on it.
pub(crate) async fn database_id<C: ConnectionTrait>(db: &C) -> Result<Option<String>, DbErr> {
    ask::one(db, &setting("database_id")).await
}

/// The app that this database belongs to, once a bridge was started on it.
pub(crate) async fn app_name<C: ConnectionTrait>(db: &C) -> Result<Option<String>, DbErr> {
    ask::one(db, &setting("app_name")).await
}

/// The stream sequence up to which spent deliveries were looked for; `None` if they never were.
pub(crate) async fn swept_seq<C: ConnectionTrait>(db: &C) -> Result<Option<u64>, DbErr> {
    let seq = ask::one::<Option<i64>>(db, &setting("swept_seq")).await?.flatten();
    Ok(seq.map(|seq| seq.try_into().unwrap_or(0)))
}

/// As [`set_swept_seq`], but never to an earlier place.
pub(crate) async fn raise_swept_seq<C: ConnectionTrait>(db: &C, seq: u64) -> Result<(), DbErr> {
    let seq = i64::try_from(seq).unwrap_or(i64::MAX);
    let raise = change("swept_seq", seq).and_where(Expr::col("swept_seq").lt(seq)).to_owned();
    db.execute(&raise).await.map(drop)
}

pub(crate) async fn set_swept_seq<C: ConnectionTrait>(db: &C, seq: u64) -> Result<(), DbErr> {
    db.execute(&change("swept_seq", i64::try_from(seq).unwrap_or(i64::MAX))).await.map(drop)
}

/// Selects a setting.
pub(crate) fn setting(column: &'static str) -> SelectStatement {
    Query::select().column(column).from(TABLE).and_where(is_the_row()).to_owned()
}

/// Changes a setting.
pub(crate) fn change(column: &'static str, value: impl Into<Expr>) -> UpdateStatement {
    Query::update().table(TABLE).value(column, value).and_where(is_the_row()).to_owned()
}

/// There is no other.
fn is_the_row() -> Expr {
    Expr::col("id").eq(1)
}
