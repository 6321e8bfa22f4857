//! What a bridge can say of itself: the connection, and how many events stand where.

use std::collections::BTreeMap;
use std::ops::Deref;

use chrono::{DateTime, Utc};
use sea_orm::sea_query::{Expr, ExprTrait, Query};
use sea_orm::{ConnectionTrait, DbErr, QueryResult, Statement};
use serde::Serialize;

use crate::dialect::answer;
use crate::{ask, inbox, outbox};

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
    /// How many events stand where. The status gives way to them: `status.pending_events`.
    #[serde(flatten)]
    pub tables: Tables,
}

impl Deref for Status {
    type Target = Tables;

    fn deref(&self) -> &Tables {
        &self.tables
    }
}

/// How many events stand where, in the outbox and the inbox.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Tables {
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

impl Tables {
    pub(crate) async fn read<C: ConnectionTrait>(db: &C) -> Result<Self, DbErr> {
        let inbox = inbox_groups(db, None).await?;
        let outbox = outbox_groups(db, None).await?;
        let all = |groups: &Groups| groups.values().map(|(events, _)| events).sum();
        Ok(Self { inbox_events: all(&inbox), outbox_events: all(&outbox), ..Self::of(&inbox, &outbox) })
    }

    /// What health judges, asked for in the words of the partial indexes, since what is done stays in the tables for weeks. The
    /// rest is left out.
    pub(crate) async fn judged<C: ConnectionTrait>(db: &C, are_dead_judged: bool) -> Result<Self, DbErr> {
        // What takes long here waits for a lock, or for a database that is away.
        let inbox = answer(inbox_groups(db, Some(inbox::OPEN))).await?;
        let outbox = answer(outbox_groups(db, Some(outbox::IS_PENDING))).await?;
        let unpublishable_events = unpublishable(db).await?;
        // Whoever has no DLQ pays for it here: the index tells dead events from no others that are settled.
        let dead_events =
            if are_dead_judged { ask::count(db, inbox::TABLE, inbox::Status::Dead.condition()).await? } else { 0 };
        Ok(Self { unpublishable_events, dead_events, ..Self::of(&inbox, &outbox) })
    }

    fn of(inbox: &Groups, outbox: &Groups) -> Self {
        let of = |groups: &Groups, status: &str| groups.get(status).map_or(0, |(events, _)| *events);
        let oldest = |groups: &Groups, status: &str| groups.get(status).map(|(_, oldest)| *oldest);
        Self {
            processed_events: of(inbox, inbox::Status::Processed.as_str()),
            failed_events: of(inbox, inbox::Status::Failed.as_str()),
            parked_events: of(inbox, inbox::Status::Parked.as_str()),
            dead_events: of(inbox, inbox::Status::Dead.as_str()),
            sent_events: of(outbox, outbox::Status::Sent.as_str()),
            pending_events: of(outbox, outbox::Status::Pending.as_str()),
            unpublishable_events: of(outbox, outbox::Status::Failed.as_str()),
            oldest_pending: oldest(outbox, outbox::Status::Pending.as_str()),
            oldest_unpublishable: oldest(outbox, outbox::Status::Failed.as_str()),
            oldest_failed: oldest(inbox, inbox::Status::Failed.as_str()),
            oldest_parked: oldest(inbox, inbox::Status::Parked.as_str()),
            oldest_dead: oldest(inbox, inbox::Status::Dead.as_str()),
            ..Self::default()
        }
    }
}

/// How many events have a status, and the time of the oldest of them.
type Groups = BTreeMap<String, (u64, DateTime<Utc>)>;

/// No index has the outbox's failed events: they are what the others leave of all, and each of these counts reads an index
/// alone. In one statement, so that none changes its place in between.
const UNPUBLISHABLE: &str = "SELECT (SELECT count(*) FROM outbox_events) \
    - (SELECT count(*) FROM outbox_events WHERE status = 'pending') \
    - (SELECT count(*) FROM outbox_events WHERE status = 'sent') AS events";

async fn unpublishable<C: ConnectionTrait>(db: &C) -> Result<u64, DbErr> {
    let row = db.query_one_raw(Statement::from_string(db.get_database_backend(), UNPUBLISHABLE)).await?;
    Ok(row.map_or(Ok(0), |row| row.try_get_by_index::<i64>(0))?.unsigned_abs())
}

async fn inbox_groups<C: ConnectionTrait>(db: &C, which: Option<&'static str>) -> Result<Groups, DbErr> {
    groups(db, inbox::TABLE, Expr::col("received_at"), which).await
}

async fn outbox_groups<C: ConnectionTrait>(db: &C, which: Option<&'static str>) -> Result<Groups, DbErr> {
    // One that is published again waits from then on.
    let since = Expr::case(Expr::col("attempts").eq(0), Expr::col("available_at")).finally(Expr::col("created_at"));
    groups(db, outbox::TABLE, since.into(), which).await
}

async fn groups<C: ConnectionTrait>(
    db: &C,
    table: &'static str,
    since: Expr,
    which: Option<&'static str>,
) -> Result<Groups, DbErr> {
    let select = Query::select()
        .column("status")
        .expr_as(Expr::col("status").count(), "events")
        .expr_as(since.min(), "oldest")
        .from(table)
        .and_where_option(which.map(Expr::cust))
        .group_by_col("status")
        .to_owned();
    let group = |row: &QueryResult| -> Result<(String, (u64, DateTime<Utc>)), DbErr> {
        let events = row.try_get::<i64>("", "events")?.unsigned_abs();
        Ok((row.try_get("", "status")?, (events, row.try_get("", "oldest")?)))
    };
    db.query_all(&select).await?.iter().map(group).collect()
}
