//! What the relay reads: the oldest events that wait, as many as fit in memory.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, DbBackend, DbErr, FromQueryResult, Statement};

use super::{IS_PENDING, TABLE};
use crate::config::MAX_BATCH_BYTES;
use crate::dialect;

/// What an event is marked by: its place, and its own id, since a database that has lost commits gives a place to another event.
#[derive(Clone, Debug)]
pub(crate) struct Mark {
    pub(crate) id: i64,
    pub(crate) event_id: String,
}

/// An event that waits to be published.
#[derive(Debug, FromQueryResult)]
pub(crate) struct Unsent {
    pub(crate) id: i64,
    pub(crate) event_id: String,
    pub(crate) resource_type: String,
    pub(crate) resource_id: String,
    pub(crate) event_type: String,
    pub(crate) payload: String,
    pub(crate) headers: String,
    pub(crate) occurred_at: DateTime<Utc>,
    pub(crate) attempts: i32,
    available_at: DateTime<Utc>,
    /// When JetStream acknowledged it, if it is published again.
    sent_at: Option<DateTime<Utc>>,
}

const COLUMNS: &str = "id, event_id, resource_type, resource_id, event_type, payload, headers, occurred_at, attempts, \
                       available_at, sent_at";

impl Unsent {
    pub(crate) fn headers(&self) -> BTreeMap<String, String> {
        serde_json::from_str(&self.headers).unwrap_or_default()
    }

    /// The id of its message: the event's, so that the server drops what a crash has sent twice. What an operator has published
    /// again would be dropped too, even where the server has lost the first or the other side has; it gets one of its own.
    pub(crate) fn message_id(&self) -> String {
        match self.sent_at {
            None => self.event_id.clone(),
            Some(sent_at) => format!("{}-{}", self.event_id, sent_at.timestamp_micros()),
        }
    }

    pub(crate) fn mark(&self) -> Mark {
        Mark { id: self.id, event_id: self.event_id.clone() }
    }

    pub(crate) fn row(&self) -> (&str, &str) {
        (&self.resource_type, &self.resource_id)
    }

    /// Whether it waits after a failure of its own, for no longer than `longest`. Before one, `available_at` is by the clock
    /// of the process that saved; a time that lies further ahead than any delay was set by a clock that was ahead.
    pub(crate) fn is_delayed(&self, now: DateTime<Utc>, longest: Duration) -> bool {
        self.attempts > 0 && self.available_at > now && self.available_at <= now + longest
    }
}

/// Events that are published together.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) events: Vec<Unsent>,
    /// Whether there may be more than these.
    pub(crate) is_full: bool,
}

/// The oldest events that wait and are not in hand, as many as fit in memory but at least one. By status, not by a cursor
/// over ids: a transaction that drew its id early may commit late.
pub(crate) async fn next_batch<C: ConnectionTrait>(db: &C, limit: usize, in_hand: &[i64]) -> Result<Batch, DbErr> {
    let backend = db.get_database_backend();
    let sql = match backend {
        DbBackend::Sqlite => {
            // A window holds copies of its rows, long texts too, before they are left out.
            let fitting = oldest_fitting("id", backend);
            format!("SELECT {COLUMNS} FROM {TABLE} WHERE id IN ({fitting}) ORDER BY id")
        }
        _ => oldest_fitting(COLUMNS, backend),
    };
    let values = [(limit as i64).into(), (MAX_BATCH_BYTES as i64).into(), dialect::list(in_hand.to_vec(), backend)];
    let select = Statement::from_sql_and_values(backend, sql, values);
    let events = Unsent::find_by_statement(select).all(db).await?;
    let bytes: usize = events.iter().map(|event| event.payload.len()).sum();
    Ok(Batch { is_full: events.len() >= limit || bytes >= MAX_BATCH_BYTES, events })
}

/// These columns of the oldest events that wait, up to the one that makes the batch full. The length of a payload is known
/// without reading it.
fn oldest_fitting(columns: &str, backend: DbBackend) -> String {
    let in_hand = dialect::each_of("$3", backend);
    // PostgreSQL plans for a limit that it does not know as for the first rows of many: along the index, and not by
    // sorting all that waits, whatever it believes how many these are.
    format!(
        "SELECT {columns} FROM (\
            SELECT {columns}, bytes, sum(bytes) OVER (ORDER BY id) AS with_older FROM (\
                SELECT {columns}, octet_length(payload) AS bytes FROM {TABLE} \
                WHERE {IS_PENDING} AND id NOT IN ({in_hand}) ORDER BY id LIMIT (SELECT $1)\
            ) AS oldest\
         ) AS sized WHERE with_older - bytes < $2 ORDER BY id"
    )
}
