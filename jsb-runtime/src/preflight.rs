//! What must hold before a bridge may start: the tables, whose database it is, the keys, and the foreign keys.

use sea_orm::{DatabaseConnection, DbErr};

use crate::config::{Config, ConfigError, Node};
use crate::jetstream::{ConnectError, ProvisionError};
use crate::registry::{Registry, RegistryError};
use crate::syncable::Keys;
use crate::{dialect, keys, settings};

/// Why a bridge did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The configuration has faults.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// What is registered cannot be used.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The database could not be asked.
    #[error(transparent)]
    Db(#[from] DbErr),
    /// The sync tables are not there.
    #[error("the sync tables are not there ({0}): add `jsb_migrations::all()` to your Migrator and run it")]
    NotMigrated(#[source] DbErr),
    /// The database is another app's.
    #[error(
        "this database belongs to app `{found}`, but APP_NAME is `{configured}`: set APP_NAME to `{found}`, or connect to \
         the database of `{configured}`"
    )]
    ForeignDatabase {
        /// The app that was started on it before.
        found: String,
        /// The app that is configured.
        configured: String,
    },
    /// An entity's interleaved keys are not set up as configured.
    #[error("keys of table `{table}`: {fault}")]
    Keys {
        /// The table.
        table: &'static str,
        /// What is wrong, and what to do.
        fault: String,
    },
    /// A version column keeps less than the versions say.
    #[error(
        "the version column `{table}.{column}` keeps {digits} digits of a second, but versions have six: of two saves that look \
         equally old one side would keep the other; ALTER TABLE .. ALTER COLUMN .. TYPE timestamptz(6)"
    )]
    Precision {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
        /// How many digits of a second it keeps.
        digits: i32,
    },
    /// The database's transactions do not see what others commit meanwhile.
    #[error(
        "this database's default isolation level is {0}; synced rows need READ COMMITTED: \
         ALTER DATABASE .. SET default_transaction_isolation = 'read committed'"
    )]
    Isolation(String),
    /// A foreign key between synced tables changes rows behind the hooks.
    #[error(
        "foreign key of `{child}` to `{parent}` is ON {action}: rows that the database changes by itself are not synced; \
         make it NO ACTION, and delete or change the children through their entity"
    )]
    Cascade {
        /// The table that holds the key.
        child: String,
        /// The table that it refers to.
        parent: String,
        /// What the database would do.
        action: String,
    },
    /// There is no connection to be had.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The stream cannot be brought about.
    #[error(transparent)]
    Provision(#[from] ProvisionError),
}

/// Checks the database, writes the settings that hooks read, and returns the database's id.
pub(crate) async fn check(
    db: &DatabaseConnection,
    config: &Config,
    registry: &mut Registry,
) -> Result<String, StartError> {
    let stored = settings::store(db, &config.app_name, config.use_outbox).await;
    let (database_id, app_name) = stored.map_err(unless_migrated)?;
    is_owner(app_name, &config.app_name)?;
    if let Some(level) = dialect::unfit_isolation(db).await? {
        return Err(StartError::Isolation(level));
    }
    check_versions(db, registry).await?;
    check_keys(db, config, registry).await?;
    check_key_reuse(db, registry).await?;
    check_foreign_keys(db, registry).await?;
    Ok(database_id)
}

/// Refuses a database that is another app's. One on which no bridge was ever started is nobody's yet.
///
/// # Errors
///
/// [`StartError::ForeignDatabase`], [`StartError::NotMigrated`], or the database's own.
pub async fn check_owner(db: &DatabaseConnection, app_name: &str) -> Result<(), StartError> {
    match settings::app_name(db).await.map_err(unless_migrated)? {
        Some(found) => is_owner(found, app_name),
        None => Ok(()),
    }
}

fn is_owner(found: String, app_name: &str) -> Result<(), StartError> {
    if found == app_name {
        return Ok(());
    }
    Err(StartError::ForeignDatabase { found, configured: app_name.to_owned() })
}

fn unless_migrated(error: DbErr) -> StartError {
    if dialect::is_missing_table(&error) { StartError::NotMigrated(error) } else { StartError::Db(error) }
}

async fn check_versions(db: &DatabaseConnection, registry: &Registry) -> Result<(), StartError> {
    for entity in registry.entities() {
        let schema = entity.schema();
        let (table, column) = (schema.table, schema.columns[schema.version].name);
        if let Some(digits) = dialect::digits_of_seconds(db, table, column).await?.filter(|digits| *digits < 6) {
            return Err(StartError::Precision { table, column, digits });
        }
    }
    Ok(())
}

async fn check_keys(db: &DatabaseConnection, config: &Config, registry: &Registry) -> Result<(), StartError> {
    for entity in registry.entities().filter(|entity| entity.keys == Keys::Interleaved) {
        let schema = entity.schema();
        let (table, column) = (schema.table, schema.columns[schema.key[0]].name);
        let fault = match (keys::node_of(db, table).await?, config.node) {
            (None, _) => format!(
                "they were never interleaved: call `jsb_migrations::interleave(manager, \"{table}\", ..)` after its migration; \
                 if your program does so only where NODE_INDEX and NODE_COUNT are set, set them"
            ),
            (Some(found), Some(node)) if found != node => format!(
                "they are interleaved as node {} of {}, but NODE_INDEX and NODE_COUNT say {} of {}",
                found.index, found.count, node.index, node.count
            ),
            (Some(node), _) => match dialect::sequence_of(db, table, column).await? {
                Some((step, last)) if !draws_for(node, step, last) => format!(
                    "their sequence does not draw for node {} of {}, as after the table was made anew or its sequence set by \
                     hand: delete the table's row of `sync_keys`, and call `jsb_migrations::interleave` once more",
                    node.index, node.count
                ),
                _ => continue,
            },
        };
        return Err(StartError::Keys { table, fault });
    }
    Ok(())
}

/// Whether a sequence of these steps, which drew this key last, draws what the node may.
fn draws_for(node: Node, step: i64, last: Option<i64>) -> bool {
    step == i64::from(node.count) && last.is_none_or(|last| last.rem_euclid(step) == i64::from(node.index))
}

async fn check_key_reuse(db: &DatabaseConnection, registry: &Registry) -> Result<(), StartError> {
    for entity in registry.entities().filter(|entity| entity.keys == Keys::SingleWriter) {
        let table = entity.schema().table;
        if dialect::reuses_keys(db, table).await? {
            let fault = "SQLite gives the key of a deleted row to a new one unless it is declared AUTOINCREMENT; \
                         the other side would take the new row for the deleted one";
            return Err(StartError::Keys { table, fault: fault.to_owned() });
        }
    }
    Ok(())
}

/// Refuses foreign keys that act by themselves, and learns from all of them which tables are the parents of which.
async fn check_foreign_keys(db: &DatabaseConnection, registry: &mut Registry) -> Result<(), StartError> {
    let tables: Vec<&str> = registry.entities().map(|entity| entity.schema().table).collect();
    let mut keys = dialect::foreign_keys(db, &tables).await?;
    keys.retain(|key| tables.contains(&key.parent.as_str()));
    registry.parents_first(&keys);
    match keys.into_iter().find_map(|key| Some((key.child, key.parent, key.action?))) {
        Some((child, parent, action)) => Err(StartError::Cascade { child, parent, action }),
        None => Ok(()),
    }
}
