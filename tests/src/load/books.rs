//! The books: whether everything that one side saved is on the other, by counts and checksums that the databases reckon.

use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr, Statement};

/// The tables that are worked on.
const TABLES: [&str; 2] = ["tallies", "tickets"];

/// How many of something there are, and a sum over all of it that does not depend on order.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Sum {
    count: i64,
    checksum: String,
}

/// What does not agree after `events` events from A to B, A's database first.
pub(super) async fn disagreements(
    a: &DatabaseConnection,
    b: &DatabaseConnection,
    events: u64,
) -> Result<Vec<String>, DbErr> {
    let mut found = Vec::new();
    for table in TABLES {
        let (on_a, on_b) =
            (sum(a, "t::text", &format!("{table} t")).await?, sum(b, "t::text", &format!("{table} t")).await?);
        if on_a != on_b {
            found.push(format!("{table} differ: {on_a:?} on a, {on_b:?} on b"));
        }
    }
    let sent = sum(a, "event_id", "outbox_events WHERE status = 'sent'").await?;
    let processed = sum(b, "event_id", "inbox_events WHERE status = 'processed' AND attempts = 0").await?;
    if sent != processed || sent.count.unsigned_abs() != events {
        found.push(format!("of {events} events a has sent {sent:?}, and b has processed {processed:?} at once"));
    }
    for (db, book) in [
        (a, "outbox_events WHERE status <> 'sent'"),
        (b, "inbox_events WHERE status <> 'processed' OR attempts > 0"),
        (a, "inbox_events"),
        (b, "outbox_events"),
    ] {
        let Sum { count, .. } = sum(db, "event_id", book).await?;
        if count > 0 {
            found.push(format!("{count} event(s) should not be there: {book}"));
        }
    }
    Ok(found)
}

/// How often a ticket's typed handler ran on B out of order or on something stale, and how far from once for each of `events` events.
pub(super) async fn disorder(b: &DatabaseConnection, events: u64) -> Result<i64, DbErr> {
    let sql = "SELECT count(*) FILTER (WHERE stale OR step <> 1) + abs(count(*) - $1) \
               FROM (SELECT stale, number - lag(number, 1, -1::bigint) OVER (ORDER BY id) AS step \
                     FROM sightings WHERE handler = 'typed') AS seen";
    let select = Statement::from_sql_and_values(b.get_database_backend(), sql, [events.cast_signed().into()]);
    let row = b.query_one_raw(select).await?;
    row.map_or(Ok(events.cast_signed()), |row| row.try_get_by_index(0))
}

async fn sum(db: &DatabaseConnection, what: &str, from: &str) -> Result<Sum, DbErr> {
    let sql = format!("SELECT count(*), coalesce(sum(hashtextextended({what}, 0)::numeric), 0)::text FROM {from}");
    let row = db.query_one_raw(Statement::from_string(db.get_database_backend(), sql)).await?;
    let row = row.ok_or_else(|| DbErr::RecordNotFound(from.to_owned()))?;
    Ok(Sum { count: row.try_get_by_index(0)?, checksum: row.try_get_by_index(1)? })
}
