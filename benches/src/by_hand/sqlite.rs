//! The statements on SQLite, whose arrays are JSON.

use anyhow::Result;
use chrono::Utc;
use sea_orm::sqlx::{SqliteConnection, SqlitePool, query, query_as, query_scalar};

use super::{BATCH, Batch, Event, Pending, PendingColumns, Row, RowColumns};

const BEGIN: &str = "BEGIN IMMEDIATE";

pub(super) async fn insert(pool: &SqlitePool, mut row: Row) -> Result<()> {
    let mut txn = pool.begin_with(BEGIN).await?;
    row.id = query_scalar(
        "UPDATE sync_keys SET next_id = next_id + node_count WHERE table_name = 'organizations' RETURNING next_id - node_count",
    )
    .fetch_one(&mut *txn)
    .await?;
    query(
        "INSERT INTO organizations (id, name, domain, active, created_at, updated_at) VALUES (?1, ?2, ?3, ?4, ?5, ?5)",
    )
    .bind(row.id)
    .bind(&row.name)
    .bind(&row.domain)
    .bind(row.active)
    .bind(row.updated_at)
    .execute(&mut *txn)
    .await?;
    record(&mut txn, &row, "created").await?;
    Ok(txn.commit().await?)
}

pub(super) async fn update(pool: &SqlitePool, id: i64, name: String) -> Result<()> {
    let mut txn = pool.begin_with(BEGIN).await?;
    // Under the write lock the version is read and drawn apart: SQLite does not reckon in microseconds.
    let row: RowColumns =
        query_as("SELECT id, name, domain, active, created_at, updated_at FROM organizations WHERE id = ?1")
            .bind(id)
            .fetch_one(&mut *txn)
            .await?;
    let mut row = Row::from(row);
    row.name = name;
    row.updated_at = Utc::now().max(row.updated_at + chrono::TimeDelta::microseconds(1));
    query("UPDATE organizations SET name = ?2, updated_at = ?3 WHERE id = ?1")
        .bind(id)
        .bind(&row.name)
        .bind(row.updated_at)
        .execute(&mut *txn)
        .await?;
    record(&mut txn, &row, "updated").await?;
    Ok(txn.commit().await?)
}

async fn record(txn: &mut SqliteConnection, row: &Row, kind: &'static str) -> Result<()> {
    let event = Event::of(row, kind)?;
    query(
        "INSERT INTO outbox_events (event_id, resource_type, resource_id, event_type, payload, headers, occurred_at, status, \
         available_at, created_at) VALUES (?1, 'organization', ?2, ?3, ?4, ?5, ?6, 'pending', ?6, ?6)",
    )
    .bind(event.id)
    .bind(event.resource_id)
    .bind(event.kind)
    .bind(event.payload)
    .bind(event.headers)
    .bind(row.updated_at)
    .execute(txn)
    .await?;
    Ok(())
}

pub(super) async fn claim(pool: &SqlitePool) -> Result<Vec<Pending>> {
    let pending = query_as(
        "SELECT id, event_id, resource_type, resource_id, event_type, payload, headers, occurred_at \
         FROM outbox_events WHERE status = 'pending' ORDER BY id LIMIT ?1",
    );
    let rows: Vec<PendingColumns> = pending.bind(BATCH as i64).fetch_all(pool).await?;
    Ok(rows.into_iter().map(Pending::from).collect())
}

pub(super) async fn mark(pool: &SqlitePool, ids: &[i64]) -> Result<()> {
    let mark = "UPDATE outbox_events SET status = 'sent', sent_at = ?2 WHERE id IN (SELECT value FROM json_each(?1))";
    query(mark).bind(serde_json::to_string(ids)?).bind(Utc::now()).execute(pool).await?;
    Ok(())
}

pub(super) async fn write(pool: &SqlitePool, batch: &Batch) -> Result<()> {
    let (events, rows) = (arrivals(batch)?, rows(batch)?);
    let mut txn = pool.begin_with(BEGIN).await?;
    query(
        "INSERT INTO inbox_events (source_app, event_id, resource_type, resource_id, event_type, subject, status, stream_seq, \
         received_at, processed_at) \
         SELECT ?1, value ->> 0, 'organization', value ->> 1, value ->> 2, ?2, 'processed', value ->> 3, ?3, ?3 \
         FROM json_each(?4) WHERE true ON CONFLICT DO NOTHING",
    )
    .bind(&batch.source)
    .bind(&batch.subject)
    .bind(Utc::now())
    .bind(events)
    .execute(&mut *txn)
    .await?;
    query(
        "INSERT INTO organizations (id, name, domain, active, created_at, updated_at) \
         SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5 FROM json_each(?1) WHERE true \
         ON CONFLICT (id) DO UPDATE SET name = excluded.name, domain = excluded.domain, active = excluded.active, \
         created_at = excluded.created_at, updated_at = excluded.updated_at \
         WHERE organizations.updated_at < excluded.updated_at",
    )
    .bind(rows)
    .execute(&mut *txn)
    .await?;
    Ok(txn.commit().await?)
}

/// What the inbox says of each event, as an array.
fn arrivals(batch: &Batch) -> Result<String> {
    let arrivals =
        batch.events.iter().map(|event| (&event.event_id, &event.resource_id, &event.event_type, event.sequence));
    Ok(serde_json::to_string(&arrivals.collect::<Vec<_>>())?)
}

/// The columns of each row, as an array.
fn rows(batch: &Batch) -> Result<String> {
    let rows = batch.newest().map(|row| (row.id, &row.name, &row.domain, row.active, row.created_at, row.updated_at));
    Ok(serde_json::to_string(&rows.collect::<Vec<_>>())?)
}
