//! The inbox rows of many events at once, each dialect's way to bind them as few values.

use std::collections::HashSet;

use sea_orm::sea_query::{Expr, OnConflict, PostgresQueryBuilder, Query};
use sea_orm::{ConnectionTrait, DbBackend, DbErr, Statement};
use serde_json::{Value as Json, json};

use super::TABLE;
use crate::dialect::arrays::{self, Column};
use crate::message::Message;

/// Takes events for this transaction as [`claim`](super::claim) does; whether each is new. Of one that comes twice the first is.
pub(crate) async fn claim_all<C: ConnectionTrait>(txn: &C, messages: &[&Message]) -> Result<Vec<bool>, DbErr> {
    // In the same order in every process, so that two that meet do not wait for each other.
    let mut sorted = messages.to_vec();
    sorted.sort_unstable_by_key(|message| (&message.source_app, &message.event_id));
    let insert = match txn.get_database_backend() {
        DbBackend::Postgres => insert_arrays(&sorted),
        _ => insert_json(&sorted),
    };
    let rows = txn.query_all_raw(insert).await?;
    if rows.len() == messages.len() {
        return Ok(vec![true; messages.len()]);
    }
    let mut inserted = HashSet::new();
    for row in rows {
        inserted.insert((row.try_get::<String>("", "source_app")?, row.try_get::<String>("", "event_id")?));
    }
    let mut is_new = |message: &&Message| inserted.remove(&(message.source_app.clone(), message.event_id.clone()));
    Ok(messages.iter().map(&mut is_new).collect())
}

/// Inserts processed events unless they are there, as SQLite takes many of them: a list that is one value.
fn insert_json(messages: &[&Message]) -> Statement {
    let row = |message: &&Message| {
        let (resource_type, resource_id, event_type) = message.labels();
        let (source_app, event_id) = (&message.source_app, &message.event_id);
        json!([source_app, event_id, resource_type, resource_id, event_type, message.subject, message.stream_seq])
    };
    let rows: Json = messages.iter().map(row).collect();
    let sql = "INSERT INTO inbox_events (source_app, event_id, resource_type, resource_id, event_type, subject, \
               stream_seq, status, received_at, processed_at) \
               SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6, \
               'processed', $2, $2 FROM json_each($1) WHERE true \
               ON CONFLICT (source_app, event_id) DO NOTHING RETURNING source_app, event_id";
    let values = [rows.to_string().into(), crate::clock::now().into()];
    Statement::from_sql_and_values(DbBackend::Sqlite, sql, values)
}

/// The same as PostgreSQL takes them.
fn insert_arrays(messages: &[&Message]) -> Statement {
    let now = crate::clock::now();
    let texts = |text: fn(&Message) -> &str| Column::texts(messages.iter().map(|message| text(message)));
    let columns = [
        texts(|message| &message.source_app),
        texts(|message| &message.event_id),
        texts(|message| message.labels().0),
        texts(|message| message.labels().1),
        texts(|message| message.labels().2),
        texts(|message| &message.subject),
        Column::numbers(messages.iter().map(|message| i64::try_from(message.stream_seq).ok())),
    ];
    let mut rows = arrays::rows(columns, |_, value| value);
    rows.select.exprs([Expr::val("processed"), Expr::val(now), Expr::val(now)]);
    let mut insert = Query::insert();
    insert
        .into_table(TABLE)
        .columns([
            "source_app",
            "event_id",
            "resource_type",
            "resource_id",
            "event_type",
            "subject",
            "stream_seq",
            "status",
            "received_at",
            "processed_at",
        ])
        .on_conflict(OnConflict::columns(["source_app", "event_id"]).do_nothing().to_owned())
        .returning(Query::returning().columns(["source_app", "event_id"]));
    insert.select_from(rows.select.clone()).expect("as many columns as are selected");
    rows.put_into(insert.build(PostgresQueryBuilder))
}
