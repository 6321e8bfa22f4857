//! What a bridge can say of itself: the connection, and how many events stand where.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sea_orm::sea_query::{Expr, ExprTrait, Query};
use sea_orm::{ConnectionTrait, DbErr, QueryResult};
use serde::Serialize;

/// Whether a bridge is well.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Health {
    /// Whether NATS answers and the stream and the consumer are there.
    pub jetstream_connected: bool,
    /// Events that wait for what they lack; rows that claim one unique value on both sides show here.
    pub parked_events: u64,
    /// What a person should look at, such as a permission that is missing.
    pub problems: Vec<String>,
}

/// The state of a bridge and of its tables.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Status {
    /// Whether NATS answers and the stream and the consumer are there.
    pub jetstream_connected: bool,
    /// What a person should look at, and what to do about it: a connection that is lost or refused, permissions that are
    /// denied, a stream or a consumer that is not as it should be. Empty while all is well.
    pub problems: Vec<String>,
    /// All events of the inbox.
    pub inbox_events: u64,
    /// Events that were applied.
    pub processed_events: u64,
    /// Events that failed and are tried again.
    pub failed_events: u64,
    /// Events that wait for what they lack; rows that claim one unique value on both sides show here.
    pub parked_events: u64,
    /// Events that ended in the DLQ.
    pub dead_events: u64,
    /// All events of the outbox.
    pub outbox_events: u64,
    /// Events that JetStream has acknowledged.
    pub sent_events: u64,
    /// Events that wait to be published.
    pub pending_events: u64,
    /// Events that can never be published, for example since they are too large.
    pub unpublishable_events: u64,
    /// Since when the oldest event waits to be published, by the clock of the process that saved it.
    pub oldest_pending: Option<DateTime<Utc>>,
    /// When the oldest event was recorded that can never be published.
    pub oldest_unpublishable: Option<DateTime<Utc>>,
    /// When the oldest event came in that failed and is tried again.
    pub oldest_failed: Option<DateTime<Utc>>,
    /// When the oldest event came in that waits for what it lacks.
    pub oldest_parked: Option<DateTime<Utc>>,
    /// When the oldest event came in that ended in the DLQ.
    pub oldest_dead: Option<DateTime<Utc>>,
}

impl Status {
    pub(crate) async fn read<C: ConnectionTrait>(
        db: &C,
        jetstream_connected: bool,
        problems: Vec<String>,
    ) -> Result<Self, DbErr> {
        // One that is published again waits from then on.
        let since = Expr::case(Expr::col("attempts").eq(0), Expr::col("available_at")).finally(Expr::col("created_at"));
        let inbox = groups(db, "inbox_events", Expr::col("received_at")).await?;
        let outbox = groups(db, "outbox_events", since.into()).await?;
        let all = |groups: &Groups| groups.values().map(|(events, _)| events).sum();
        let of = |groups: &Groups, status: &str| groups.get(status).map_or(0, |(events, _)| *events);
        let oldest = |groups: &Groups, status: &str| groups.get(status).map(|(_, oldest)| *oldest);
        Ok(Self {
            jetstream_connected,
            problems,
            inbox_events: all(&inbox),
            processed_events: of(&inbox, "processed"),
            failed_events: of(&inbox, "failed"),
            parked_events: of(&inbox, "parked"),
            dead_events: of(&inbox, "dead"),
            outbox_events: all(&outbox),
            sent_events: of(&outbox, "sent"),
            pending_events: of(&outbox, "pending"),
            unpublishable_events: of(&outbox, "failed"),
            oldest_pending: oldest(&outbox, "pending"),
            oldest_unpublishable: oldest(&outbox, "failed"),
            oldest_failed: oldest(&inbox, "failed"),
            oldest_parked: oldest(&inbox, "parked"),
            oldest_dead: oldest(&inbox, "dead"),
        })
    }
}

/// How many events have a status, and the time of the oldest of them.
type Groups = BTreeMap<String, (u64, DateTime<Utc>)>;

async fn groups<C: ConnectionTrait>(db: &C, table: &'static str, since: Expr) -> Result<Groups, DbErr> {
    let select = Query::select()
        .column("status")
        .expr_as(Expr::col("status").count(), "events")
        .expr_as(since.min(), "oldest")
        .from(table)
        .group_by_col("status")
        .to_owned();
    let group = |row: &QueryResult| -> Result<(String, (u64, DateTime<Utc>)), DbErr> {
        let events = row.try_get::<i64>("", "events")?.unsigned_abs();
        Ok((row.try_get("", "status")?, (events, row.try_get("", "oldest")?)))
    };
    db.query_all(&select).await?.iter().map(group).collect()
}
