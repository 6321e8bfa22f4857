//! The books: what was sent, what was received, what the tables hold, and whether all that agrees.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use sea_orm::sea_query::{Expr, ExprTrait, Order, Query, SelectStatement};
use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr, FromQueryResult};

use super::order::{Place, overtaken};
use super::world::Which;
use super::{Scenario, audit};

/// How many of many faults of one kind are shown.
const SHOWN: usize = 8;

/// What an outbox or an inbox says of an event.
#[derive(Clone, Debug, FromQueryResult)]
struct Entry {
    event_id: String,
    resource_type: String,
    resource_id: String,
    event_type: String,
    status: String,
    attempts: i32,
    last_error: Option<String>,
    at: DateTime<Utc>,
    /// Its id in an outbox; none in an inbox.
    id: Option<i64>,
}

/// Everything that one side has written down.
struct Ledger {
    which: Which,
    outbox: BTreeMap<String, Entry>,
    inbox: BTreeMap<String, Entry>,
}

/// How much went over, and what is wrong with it.
#[derive(Clone, Debug, Default)]
pub struct Balance {
    /// Events of A and of B.
    pub events: [usize; 2],
    /// Rows that both sides hold.
    pub rows: usize,
    /// What is wrong.
    pub problems: Vec<String>,
    /// The history of the rows that differ.
    pub history: Vec<String>,
}

/// Balances the books of both sides, A's first; `published` is what the stream holds of them, in its order.
///
/// # Errors
///
/// When a database fails.
pub(super) async fn balance(
    scenario: &dyn Scenario,
    sides: [&DatabaseConnection; 2],
    published: [&[String]; 2],
) -> Result<Balance, DbErr> {
    let mut balance = Balance::default();
    let entities = scenario.entities();
    for (which, db) in Which::BOTH.into_iter().zip(sides) {
        let side = which.letter();
        let mut found = scenario.faults_of(db).await?;
        if db.get_database_backend() == sea_orm::DbBackend::Postgres {
            found.extend(audit::discrepancies(db, &entities).await?);
        }
        balance.problems.extend(shown(&found).map(|fault| format!("{side}: {fault}")));
    }
    let [a, b] = [Ledger::read(Which::A, sides[0]).await?, Ledger::read(Which::B, sides[1]).await?];
    balance.events = [a.outbox.len(), b.outbox.len()];
    for (from, to) in [(&a, &b), (&b, &a)] {
        balance.problems.extend(from.transfer_to(to));
        let handled = scenario.handled_in_order(sides[to.which as usize]).await?;
        for (order, came) in [("published", published[from.which as usize]), ("handled", &handled)] {
            let overtaken = overtaken(came, |event_id| from.outbox.get(event_id)?.place());
            let side = from.which.letter();
            balance.problems.extend(shown(&overtaken).map(|event| format!("not {order} in {side}'s order: {event}")));
        }
    }
    let mut differing = BTreeSet::new();
    for entity in &entities {
        let (on_a, on_b) = (entity.rows(sides[0]).await?, entity.rows(sides[1]).await?);
        balance.rows += on_a.len();
        let ids: BTreeSet<&String> = on_a.keys().chain(on_b.keys()).collect();
        for id in ids.into_iter().filter(|id| on_a.get(*id) != on_b.get(*id)) {
            let row = format!("{}/{id}", entity.resource);
            let text = |rows: &BTreeMap<String, String>| rows.get(id).cloned().unwrap_or_else(|| "none".to_owned());
            balance.problems.push(format!("{row} differs:\n    on a: {}\n    on b: {}", text(&on_a), text(&on_b)));
            differing.insert((entity.resource, id.clone()));
        }
    }
    for (resource, id) in differing.iter().take(SHOWN) {
        balance.history.extend(history(resource, id, [&a, &b], sides).await?);
    }
    Ok(balance)
}

impl Ledger {
    async fn read(which: Which, db: &DatabaseConnection) -> Result<Self, DbErr> {
        let entries = async |mut select: SelectStatement| -> Result<BTreeMap<String, Entry>, DbErr> {
            let columns =
                ["event_id", "resource_type", "resource_id", "event_type", "status", "attempts", "last_error"];
            let found = db.query_all(select.columns(columns)).await?;
            let read = found.iter().map(|row| Entry::from_query_result(row, ""));
            read.map(|entry| entry.map(|entry| (entry.event_id.clone(), entry))).collect()
        };
        let outbox =
            Query::select().expr_as(Expr::col("created_at"), "at").column("id").from("outbox_events").to_owned();
        let inbox = Query::select()
            .expr_as(Expr::col("received_at"), "at")
            .expr_as(Expr::val(None::<i64>), "id")
            .from("inbox_events")
            .and_where(Expr::col("source_app").eq(which.other().app()))
            .to_owned();
        Ok(Self { which, outbox: entries(outbox).await?, inbox: entries(inbox).await? })
    }

    /// What is wrong with the events that went from this side to the other one.
    fn transfer_to(&self, other: &Self) -> Vec<String> {
        let (here, there) = (self.which.letter(), other.which.letter());
        let unsent = self.outbox.values().filter(|entry| entry.status != "sent");
        let unsent: Vec<String> = unsent.map(|entry| format!("not sent by {here}: {entry}")).collect();
        let lost = self.outbox.values().filter(|entry| !other.inbox.contains_key(&entry.event_id));
        let lost: Vec<String> = lost.map(|entry| format!("sent by {here} and never received: {entry}")).collect();
        let invented = other.inbox.values().filter(|entry| !self.outbox.contains_key(&entry.event_id));
        let invented: Vec<String> =
            invented.map(|entry| format!("received by {there} and never sent: {entry}")).collect();
        let open = other.inbox.values().filter(|entry| entry.status != "processed");
        let open: Vec<String> = open.map(|entry| format!("not processed by {there}: {entry}")).collect();
        let blamed = other.inbox.values().filter(|entry| entry.status == "processed" && entry.attempts > 0);
        let blamed: Vec<String> = blamed.map(|entry| format!("held against an event by {there}: {entry}")).collect();
        [unsent, lost, invented, open, blamed].iter().flat_map(|found| shown(found).collect::<Vec<_>>()).collect()
    }
}

/// The first of them, and how many more there are.
fn shown(found: &[String]) -> impl Iterator<Item = String> {
    let more = found.len().saturating_sub(SHOWN);
    found.iter().take(SHOWN).cloned().chain((more > 0).then(|| format!("(and {more} more like these)")))
}

/// All that both sides know of one row.
async fn history(
    resource: &str,
    id: &str,
    ledgers: [&Ledger; 2],
    sides: [&DatabaseConnection; 2],
) -> Result<Vec<String>, DbErr> {
    let mut lines = vec![format!("history of {resource}/{id}:")];
    for (ledger, db) in ledgers.into_iter().zip(sides) {
        let side = ledger.which.letter();
        let versions = versions(db, resource, id).await?;
        for (book, entries) in [("outbox", &ledger.outbox), ("inbox", &ledger.inbox)] {
            let of_row = entries.values().filter(|entry| entry.resource_type == resource && entry.resource_id == id);
            let mut of_row: Vec<&Entry> = of_row.collect();
            of_row.sort_by_key(|entry| entry.at);
            for entry in of_row {
                let payload = versions.get(&entry.event_id).map(String::as_str).unwrap_or_default();
                lines.push(format!("  {} {side} {book}: {entry} {payload}", entry.at));
            }
        }
        let tombstone = Query::select()
            .column("version")
            .from("sync_tombstones")
            .and_where(Expr::col("resource_type").eq(resource))
            .and_where(Expr::col("resource_id").eq(id))
            .to_owned();
        if let Some(row) = db.query_one(&tombstone).await? {
            lines.push(format!("  {side} tombstone: {}", row.try_get::<DateTime<Utc>>("", "version")?));
        }
    }
    Ok(lines)
}

/// The payloads of the events that a side sent about a row.
async fn versions(db: &DatabaseConnection, resource: &str, id: &str) -> Result<BTreeMap<String, String>, DbErr> {
    let select = Query::select()
        .columns(["event_id", "payload"])
        .from("outbox_events")
        .and_where(Expr::col("resource_type").eq(resource))
        .and_where(Expr::col("resource_id").eq(id))
        .order_by("id", Order::Asc)
        .to_owned();
    let rows = db.query_all(&select).await?;
    rows.iter().map(|row| Ok((row.try_get("", "event_id")?, row.try_get("", "payload")?))).collect()
}

impl Entry {
    fn place(&self) -> Option<Place<'_>> {
        Some(Place { row: (&self.resource_type, &self.resource_id), id: self.id? })
    }
}

impl std::fmt::Display for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { event_id, resource_type, resource_id, event_type, status, attempts, last_error, .. } = self;
        write!(f, "{event_id} {resource_type}/{resource_id} {event_type}, {status}")?;
        match last_error {
            Some(error) => write!(f, " after {attempts} attempt(s): {error}"),
            None => Ok(()),
        }
    }
}
