//! The statements on PostgreSQL.

use anyhow::Result;
use chrono::Utc;
use sea_orm::sqlx::{PgConnection, PgPool, query, query_as, query_scalar};
use uuid::Uuid;

use super::{BATCH, Batch, Event, Pending, PendingColumns, Row, RowColumns, headers};

pub(super) async fn insert(pool: &PgPool, mut row: Row) -> Result<()> {
    let mut txn = pool.begin().await?;
    row.id = query_scalar(
        "INSERT INTO organizations (name, domain, active, created_at, updated_at) VALUES ($1, $2, $3, $4, $4) RETURNING id",
    )
    .bind(&row.name)
    .bind(&row.domain)
    .bind(row.active)
    .bind(row.updated_at)
    .fetch_one(&mut *txn)
    .await?;
    record(&mut txn, &row, "created").await?;
    Ok(txn.commit().await?)
}

pub(super) async fn update(pool: &PgPool, id: i64, name: String) -> Result<()> {
    let mut txn = pool.begin().await?;
    let row: RowColumns = query_as(
        "UPDATE organizations SET name = $2, updated_at = greatest($3, updated_at + interval '1 microsecond') WHERE id = $1 \
         RETURNING id, name, domain, active, created_at, updated_at",
    )
    .bind(id)
    .bind(name)
    .bind(Utc::now())
    .fetch_one(&mut *txn)
    .await?;
    record(&mut txn, &row.into(), "updated").await?;
    Ok(txn.commit().await?)
}

/// Inserts row and event by one statement, which PostgreSQL commits by itself.
pub(super) async fn insert_at_once(pool: &PgPool, row: Row) -> Result<()> {
    let _: RowColumns = query_as(
        "WITH row AS (INSERT INTO organizations (name, domain, active, created_at, updated_at) \
                      VALUES ($1, $2, $3, $4, $4) RETURNING id, name, domain, active, created_at, updated_at), \
         event AS (INSERT INTO outbox_events (event_id, resource_type, resource_id, event_type, payload, headers, \
                                              occurred_at, status, available_at, created_at) \
                   SELECT $5, 'organization', id::text, 'created', row_to_json(row)::text, $6, $4, 'pending', $4, $4 FROM row) \
         SELECT id, name, domain, active, created_at, updated_at FROM row",
    )
    .bind(&row.name)
    .bind(&row.domain)
    .bind(row.active)
    .bind(row.updated_at)
    .bind(Uuid::now_v7().to_string())
    .bind(headers(row.updated_at.timestamp_micros()))
    .fetch_one(pool)
    .await?;
    Ok(())
}

/// Updates a row and inserts its event by one statement.
pub(super) async fn update_at_once(pool: &PgPool, id: i64, name: String) -> Result<()> {
    let now = Utc::now();
    let _: RowColumns = query_as(
        "WITH row AS (UPDATE organizations SET name = $2, updated_at = greatest($3, updated_at + interval '1 microsecond') \
                      WHERE id = $1 RETURNING id, name, domain, active, created_at, updated_at), \
         event AS (INSERT INTO outbox_events (event_id, resource_type, resource_id, event_type, payload, headers, \
                                              occurred_at, status, available_at, created_at) \
                   SELECT $4, 'organization', id::text, 'updated', row_to_json(row)::text, $5, updated_at, 'pending', $3, $3 \
                   FROM row) \
         SELECT id, name, domain, active, created_at, updated_at FROM row",
    )
    .bind(id)
    .bind(name)
    .bind(now)
    .bind(Uuid::now_v7().to_string())
    .bind(headers(now.timestamp_micros()))
    .fetch_one(pool)
    .await?;
    Ok(())
}

async fn record(txn: &mut PgConnection, row: &Row, kind: &'static str) -> Result<()> {
    let event = Event::of(row, kind)?;
    query(
        "INSERT INTO outbox_events (event_id, resource_type, resource_id, event_type, payload, headers, occurred_at, status, \
         available_at, created_at) VALUES ($1, 'organization', $2, $3, $4, $5, $6, 'pending', $6, $6)",
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

pub(super) async fn claim(pool: &PgPool) -> Result<Vec<Pending>> {
    let pending = query_as(
        "SELECT id, event_id, resource_type, resource_id, event_type, payload, headers, occurred_at \
         FROM outbox_events WHERE status = 'pending' ORDER BY id LIMIT $1",
    );
    let rows: Vec<PendingColumns> = pending.bind(BATCH as i64).fetch_all(pool).await?;
    Ok(rows.into_iter().map(Pending::from).collect())
}

pub(super) async fn mark(pool: &PgPool, ids: &[i64]) -> Result<()> {
    let mark = query("UPDATE outbox_events SET status = 'sent', sent_at = $2 WHERE id = ANY($1)");
    mark.bind(ids).bind(Utc::now()).execute(pool).await?;
    Ok(())
}

pub(super) async fn write(pool: &PgPool, batch: &Batch) -> Result<()> {
    let mut txn = pool.begin().await?;
    record_arrival(&mut txn, batch).await?;
    upsert(&mut txn, batch).await?;
    Ok(txn.commit().await?)
}

async fn record_arrival(txn: &mut PgConnection, batch: &Batch) -> Result<()> {
    let events = &batch.events;
    query(
        "INSERT INTO inbox_events (source_app, event_id, resource_type, resource_id, event_type, subject, status, stream_seq, \
         received_at, processed_at) \
         SELECT $1, event_id, 'organization', resource_id, event_type, $2, 'processed', sequence, $3, $3 \
         FROM unnest($4::text[], $5::text[], $6::text[], $7::bigint[]) AS events (event_id, resource_id, event_type, sequence) \
         ON CONFLICT DO NOTHING",
    )
    .bind(&batch.source)
    .bind(&batch.subject)
    .bind(Utc::now())
    .bind(events.iter().map(|event| event.event_id.as_str()).collect::<Vec<_>>())
    .bind(events.iter().map(|event| event.resource_id.as_str()).collect::<Vec<_>>())
    .bind(events.iter().map(|event| event.event_type.as_str()).collect::<Vec<_>>())
    .bind(events.iter().map(|event| event.sequence).collect::<Vec<_>>())
    .execute(txn)
    .await?;
    Ok(())
}

async fn upsert(txn: &mut PgConnection, batch: &Batch) -> Result<()> {
    let rows: Vec<&Row> = batch.newest().collect();
    query(
        "INSERT INTO organizations (id, name, domain, active, created_at, updated_at) \
         SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::boolean[], $5::timestamptz[], $6::timestamptz[]) \
         ON CONFLICT (id) DO UPDATE SET name = excluded.name, domain = excluded.domain, active = excluded.active, \
         created_at = excluded.created_at, updated_at = excluded.updated_at \
         WHERE organizations.updated_at < excluded.updated_at",
    )
    .bind(rows.iter().map(|row| row.id).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.name.as_str()).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.domain.as_str()).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.active).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.created_at).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.updated_at).collect::<Vec<_>>())
    .execute(txn)
    .await?;
    Ok(())
}
