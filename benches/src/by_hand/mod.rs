//! The baselines: what an expert would write for these very tables with bare sqlx and async-nats.

mod apply;
mod postgres;
mod relay;
mod sqlite;

use std::collections::BTreeMap;

use anyhow::{Result, bail};
pub(crate) use apply::apply;
use chrono::{DateTime, Utc};
pub(crate) use relay::{publish_all, relay};
use sea_orm::sqlx::{PgPool, SqlitePool};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::database::{self, Backend};

/// How many rows or messages are taken at a time.
const BATCH: usize = 1000;

/// A pool, and the statements of its database.
#[derive(Clone)]
pub(crate) enum Hand {
    Postgres(PgPool),
    Sqlite(SqlitePool),
}

/// A row of `organizations`, which is its payload on the wire too.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Row {
    pub(crate) id: i64,
    pub(crate) name: String,
    pub(crate) domain: String,
    pub(crate) active: bool,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) updated_at: DateTime<Utc>,
}

/// `id, name, domain, active, created_at, updated_at`.
type RowColumns = (i64, String, String, bool, DateTime<Utc>, DateTime<Utc>);

impl From<RowColumns> for Row {
    fn from((id, name, domain, active, created_at, updated_at): RowColumns) -> Self {
        Self { id, name, domain, active, created_at, updated_at }
    }
}

/// A row of `outbox_events`.
struct Pending {
    id: i64,
    event_id: String,
    resource_type: String,
    resource_id: String,
    event_type: String,
    payload: String,
    headers: String,
    occurred_at: DateTime<Utc>,
}

/// `id, event_id, resource_type, resource_id, event_type, payload, headers, occurred_at`.
type PendingColumns = (i64, String, String, String, String, String, String, DateTime<Utc>);

impl From<PendingColumns> for Pending {
    fn from(
        (id, event_id, resource_type, resource_id, event_type, payload, headers, occurred_at): PendingColumns,
    ) -> Self {
        Self { id, event_id, resource_type, resource_id, event_type, payload, headers, occurred_at }
    }
}

/// The body of a message that goes out.
#[derive(Serialize)]
pub(crate) struct Envelope<'a> {
    pub(crate) event_id: &'a str,
    pub(crate) schema_version: u32,
    pub(crate) event_type: &'a str,
    pub(crate) producer: &'a str,
    pub(crate) resource_id: &'a str,
    pub(crate) occurred_at: DateTime<Utc>,
    pub(crate) trace_id: &'a str,
    pub(crate) resource_type: &'a str,
    pub(crate) payload: &'a RawValue,
}

/// What is read of a message that came in.
#[derive(Deserialize)]
struct Arrived {
    #[serde(default)]
    sequence: i64,
    event_id: String,
    event_type: String,
    resource_id: String,
    payload: Row,
}

/// Messages that came in together, and where they came from.
struct Batch {
    source: String,
    subject: String,
    events: Vec<Arrived>,
}

impl Batch {
    /// The newest state of each row, in the order of their keys: one statement may not write a row twice.
    fn newest(&self) -> impl Iterator<Item = &Row> {
        let mut newest: BTreeMap<i64, &Row> = BTreeMap::new();
        for row in self.events.iter().map(|event| &event.payload) {
            newest.entry(row.id).and_modify(|known| *known = newer(known, row)).or_insert(row);
        }
        newest.into_values()
    }
}

fn newer<'a>(one: &'a Row, other: &'a Row) -> &'a Row {
    if other.updated_at > one.updated_at { other } else { one }
}

/// What an outbox row says besides its row's values.
struct Event {
    id: String,
    kind: &'static str,
    resource_id: String,
    payload: String,
    headers: String,
}

impl Event {
    fn of(row: &Row, kind: &'static str) -> Result<Self> {
        Ok(Self {
            id: Uuid::now_v7().to_string(),
            kind,
            resource_id: row.id.to_string(),
            payload: serde_json::to_string(row)?,
            headers: headers(row.id),
        })
    }
}

/// The headers of an event: a trace of its own.
fn headers(span: i64) -> String {
    format!(r#"{{"traceparent":"00-{}-{span:016x}-01"}}"#, Uuid::new_v4().simple())
}

/// A row that has no key yet.
fn new_row(name: String, domain: String) -> Row {
    let now = Utc::now();
    Row { id: 0, name, domain, active: true, created_at: now, updated_at: now }
}

impl Hand {
    /// Opens a pool as the library's own, but on SQLite of one connection: writers that queue for it are far faster
    /// than writers that try again and again for SQLite's lock.
    pub(crate) async fn connect(backend: Backend, url: &str) -> Result<Self> {
        Ok(match backend {
            Backend::Postgres => Self::Postgres(database::postgres(url).await?),
            Backend::Sqlite => Self::Sqlite(database::sqlite(url, 1).await?),
        })
    }

    /// Inserts a row and its event in a transaction.
    pub(crate) async fn insert(&self, name: String, domain: String) -> Result<()> {
        let row = new_row(name, domain);
        match self {
            Self::Postgres(pool) => postgres::insert(pool, row).await,
            Self::Sqlite(pool) => sqlite::insert(pool, row).await,
        }
    }

    /// Updates a row, its version above the one before, and inserts its event, in a transaction.
    pub(crate) async fn update(&self, id: i64, name: String) -> Result<()> {
        match self {
            Self::Postgres(pool) => postgres::update(pool, id, name).await,
            Self::Sqlite(pool) => sqlite::update(pool, id, name).await,
        }
    }

    /// Inserts a row and its event by one statement.
    pub(crate) async fn insert_at_once(&self, name: String, domain: String) -> Result<()> {
        postgres::insert_at_once(self.postgres()?, new_row(name, domain)).await
    }

    /// Updates a row, its version above the one before, and inserts its event, by one statement.
    pub(crate) async fn update_at_once(&self, id: i64, name: String) -> Result<()> {
        postgres::update_at_once(self.postgres()?, id, name).await
    }

    fn postgres(&self) -> Result<&PgPool> {
        match self {
            Self::Postgres(pool) => Ok(pool),
            Self::Sqlite(_) => bail!("SQLite has no statement that writes two tables"),
        }
    }

    /// The oldest pending rows.
    async fn claim(&self) -> Result<Vec<Pending>> {
        match self {
            Self::Postgres(pool) => postgres::claim(pool).await,
            Self::Sqlite(pool) => sqlite::claim(pool).await,
        }
    }

    /// Marks rows as sent, in one statement.
    async fn mark(&self, ids: &[i64]) -> Result<()> {
        match self {
            Self::Postgres(pool) => postgres::mark(pool, ids).await,
            Self::Sqlite(pool) => sqlite::mark(pool, ids).await,
        }
    }

    /// Inserts the inbox rows and writes the rows, in one transaction of two statements.
    async fn write(&self, batch: &Batch) -> Result<()> {
        match self {
            Self::Postgres(pool) => postgres::write(pool, batch).await,
            Self::Sqlite(pool) => sqlite::write(pool, batch).await,
        }
    }
}
