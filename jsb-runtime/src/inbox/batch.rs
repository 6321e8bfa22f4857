//! The inbox rows of many events at once, each dialect's way to bind them.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use sea_orm::sea_query::{Expr, InsertStatement, Order, PostgresQueryBuilder, Query, SelectStatement, ValueTuple};
use sea_orm::{ConnectionTrait, DbBackend, DbErr, Statement};

use super::{KEY, Status, TABLE, unless_there};
use crate::dialect::arrays::{self, Column};
use crate::dialect::values;
use crate::message::Message;

const COLUMNS: [&str; 10] = [
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
];

/// How many of them differ from event to event: the first.
const VALUES: usize = 7;

/// Takes events for this transaction as [`claim`](super::claim) does; whether each is new. Of one that comes twice the first is.
pub(crate) async fn claim_all<C: ConnectionTrait>(txn: &C, messages: &[&Message]) -> Result<Vec<bool>, DbErr> {
    // In the same order in every process, so that two that meet do not wait for each other.
    let mut sorted = messages.to_vec();
    sorted.sort_unstable_by_key(|message| (&message.source_app, &message.event_id));
    let rows = match txn.get_database_backend() {
        DbBackend::Postgres => txn.query_all_raw(insert_of_arrays(&sorted)).await?,
        // RETURNING would cost SQLite a row for each event, where hardly ever one is not new.
        _ => match insert_values(txn, &sorted).await? {
            inserted if inserted == messages.len() as u64 => return Ok(vec![true; messages.len()]),
            inserted => txn.query_all(&newest(inserted)).await?,
        },
    };
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

/// Inserts processed events unless they are there; how many were not.
pub(super) async fn insert_values<C: ConnectionTrait>(txn: &C, messages: &[&Message]) -> Result<u64, DbErr> {
    let now = crate::clock::now();
    let mut rest = messages.iter();
    let mut inserted = 0;
    for part in values::parts(messages.len(), VALUES) {
        let rows = rest.by_ref().take(part).map(|message| {
            let (resource_type, resource_id, event_type) = message.labels();
            ValueTuple::Many(vec![
                message.source_app.as_str().into(),
                message.event_id.as_str().into(),
                resource_type.into(),
                resource_id.into(),
                event_type.into(),
                message.subject.as_str().into(),
                message.stored_seq().into(),
            ])
        });
        let mut select = Query::select();
        // Without a condition, SQLite would take what follows for that of a join.
        select.columns(values::names(VALUES)).from_values(rows, "events").and_where(Expr::cust("true"));
        inserted += txn.execute(&insert_from(select, now)).await?.rows_affected();
    }
    Ok(inserted)
}

/// The keys of the rows that SQLite inserted last, which stand at the end while nobody else may write.
fn newest(rows: u64) -> SelectStatement {
    Query::select().columns(KEY).from(TABLE).order_by("rowid", Order::Desc).limit(rows).to_owned()
}

/// Inserts processed events as PostgreSQL takes many of them, and says which were not there.
fn insert_of_arrays(messages: &[&Message]) -> Statement {
    let texts = |text: fn(&Message) -> &str| Column::texts(messages.iter().map(|message| text(message)));
    let columns = [
        texts(|message| &message.source_app),
        texts(|message| &message.event_id),
        texts(|message| message.labels().0),
        texts(|message| message.labels().1),
        texts(|message| message.labels().2),
        texts(|message| &message.subject),
        Column::numbers(messages.iter().map(|message| message.stored_seq())),
    ];
    let rows = arrays::rows(columns, |_, value| value);
    let mut insert = insert_from(rows.select.clone(), crate::clock::now());
    insert.returning(Query::returning().columns(KEY));
    rows.put_into(insert.build(PostgresQueryBuilder))
}

/// Inserts events of which the select says what differs, and adds what they share, unless they are there.
fn insert_from(mut select: SelectStatement, now: DateTime<Utc>) -> InsertStatement {
    select.exprs([Expr::val(Status::Processed), Expr::val(now), Expr::val(now)]);
    let mut insert = Query::insert().into_table(TABLE).columns(COLUMNS).on_conflict(unless_there()).to_owned();
    insert.select_from(select).expect("as many columns as are selected");
    insert
}
