//! What a user writes for the harness's half: programs, tables, and what must hold of them at the end.

use std::collections::BTreeMap;
use std::path::Path;

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use jsb_runtime::Syncable;
use rand::rngs::StdRng;
use sea_orm::{DatabaseConnection, DbErr, EntityName, EntityTrait, IdenStatic, Iterable, PrimaryKeyToColumn, Value};

use super::fault::Fault;

/// Two applications that are put to the test.
#[async_trait]
pub trait Scenario: Send + Sync {
    /// The program that [`play`](super::child::play)s a part of an application.
    fn program(&self) -> &Path;

    /// The same with older entities, as before a deploy.
    fn older_program(&self) -> Option<&Path> {
        None
    }

    /// Makes the tables in an empty database, JSB's own too, for node `index` of `count`.
    async fn prepare(&self, db: &DatabaseConnection, index: u32, count: u32) -> Result<(), DbErr>;

    /// The entities that both sides must hold alike.
    fn entities(&self) -> Vec<Watched>;

    /// A fault of your own, or none this time, which leaves the choice to the harness. It is asked before each fault.
    fn fault(&self, _random: &mut StdRng) -> Option<Box<dyn Fault>> {
        None
    }

    /// Ids of received events in the order in which a handler ran on them and was told that they are not stale: those of
    /// one row must come in the order of its commits.
    async fn handled_in_order(&self, _db: &DatabaseConnection) -> Result<Vec<String>, DbErr> {
        Ok(Vec::new())
    }

    /// What is wrong with one side in other ways, such as effects of handlers that are missing or came twice.
    async fn faults_of(&self, _db: &DatabaseConnection) -> Result<Vec<String>, DbErr> {
        Ok(Vec::new())
    }
}

/// The rows of an entity as text, by their resource ids.
pub type Rows = BTreeMap<String, String>;

type ReadRows = for<'a> fn(&'a DatabaseConnection) -> BoxFuture<'a, Result<Rows, DbErr>>;

/// An entity whose rows are compared.
#[derive(Clone)]
pub struct Watched {
    /// Its name on the wire.
    pub resource: &'static str,
    /// Its table.
    pub table: &'static str,
    /// The columns of its key.
    pub key: Vec<&'static str>,
    /// The column of its version.
    pub version: &'static str,
    /// The version's name on the wire.
    pub version_field: &'static str,
    read: ReadRows,
}

impl Watched {
    /// The entity whose model is `M`: of its columns those that travel are compared.
    pub fn of<M: Syncable>() -> Self {
        let key = <M::Entity as EntityTrait>::PrimaryKey::iter().map(|key| key.into_column().as_str());
        Self {
            resource: M::RESOURCE,
            table: M::Entity::default().table_name(),
            key: key.collect(),
            version: M::VERSION.as_str(),
            version_field: version_field::<M>(),
            read: |db| Box::pin(read::<M>(db)),
        }
    }

    /// Its rows.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn rows(&self, db: &DatabaseConnection) -> Result<Rows, DbErr> {
        (self.read)(db).await
    }
}

async fn read<M: Syncable>(db: &DatabaseConnection) -> Result<Rows, DbErr> {
    let rows = M::Entity::find().all(db).await?;
    let columns = |row: &M| -> Vec<String> {
        M::FIELDS.iter().map(|field| format!("{}={}", field.name(), row.get(field.column))).collect()
    };
    Ok(rows.iter().map(|row| (resource_id(row), columns(row).join(" "))).collect())
}

fn resource_id<M: Syncable>(row: &M) -> String {
    let part = |key: <M::Entity as EntityTrait>::PrimaryKey| match row.get(key.into_column()) {
        Value::String(Some(text)) => text,
        Value::Uuid(Some(id)) => id.to_string(),
        other => other.to_string(),
    };
    <M::Entity as EntityTrait>::PrimaryKey::iter().map(part).collect::<Vec<_>>().join("/")
}

fn version_field<M: Syncable>() -> &'static str {
    let field = M::FIELDS.iter().find(|field| field.column.as_str() == M::VERSION.as_str());
    field.map_or(M::VERSION.as_str(), |field| field.name())
}
