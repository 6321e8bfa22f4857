//! What a bridge can say of itself: the connection, and how many events stand where.

use std::collections::BTreeMap;

use sea_orm::sea_query::{Expr, ExprTrait, Query};
use sea_orm::{ConnectionTrait, DbErr};
use serde::Serialize;

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
}

impl Status {
    pub(crate) async fn read<C: ConnectionTrait>(
        db: &C,
        jetstream_connected: bool,
        problems: Vec<String>,
    ) -> Result<Self, DbErr> {
        let inbox = counts(db, "inbox_events").await?;
        let outbox = counts(db, "outbox_events").await?;
        let of = |counts: &BTreeMap<String, u64>, status: &str| counts.get(status).copied().unwrap_or(0);
        Ok(Self {
            jetstream_connected,
            problems,
            inbox_events: inbox.values().sum(),
            processed_events: of(&inbox, "processed"),
            failed_events: of(&inbox, "failed"),
            parked_events: of(&inbox, "parked"),
            dead_events: of(&inbox, "dead"),
            outbox_events: outbox.values().sum(),
            sent_events: of(&outbox, "sent"),
            pending_events: of(&outbox, "pending"),
            unpublishable_events: of(&outbox, "failed"),
        })
    }
}

async fn counts<C: ConnectionTrait>(db: &C, table: &'static str) -> Result<BTreeMap<String, u64>, DbErr> {
    let select = Query::select()
        .column("status")
        .expr_as(Expr::col("status").count(), "events")
        .from(table)
        .group_by_col("status")
        .to_owned();
    let count = |row: &sea_orm::QueryResult| -> Result<(String, u64), DbErr> {
        Ok((row.try_get("", "status")?, row.try_get::<i64>("", "events")?.unsigned_abs()))
    };
    db.query_all(&select).await?.iter().map(count).collect()
}
