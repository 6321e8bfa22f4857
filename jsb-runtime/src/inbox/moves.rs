//! The moves of an event's row: every change of its status is written here, column by column.

use std::time::Duration;

use sea_orm::sea_query::{Condition, Expr, ExprTrait, InsertStatement, Query, UpdateStatement};
use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr, FromQueryResult};

use super::{OVERDUE, Status, TABLE, has_key, is, is_due, unless_there, waits_since};
use crate::causes::storable;
use crate::dialect;
use crate::message::Message;
use crate::reason::Reason;

/// What becomes of an event's row.
#[derive(Debug)]
pub(crate) enum Move<'a> {
    /// It is about to be tried, and the server brings it to nobody else meanwhile.
    Start,
    /// It is about to be tried out of the inbox. It is this process's for `keep_for`, and then, if the process has died, the
    /// timer's again. No event waits for longer than `longest`.
    Take { keep_for: Duration, longest: Duration },
    /// An attempt failed, and the server has `longest` to bring it again.
    Fail { error: &'a str, longest: Duration },
    /// It waits here for its next try.
    Park { reason: Reason, waits_for: Option<String>, retry_after: Duration, error: &'a str },
    /// It is dead, but its letter was not taken: it waits here for another try at that.
    Postpone { reason: Reason, retry_after: Duration, error: &'a str },
    /// It is dead. Its payload stays until it is pruned, since the DLQ may have had no room for it.
    Bury { reason: Reason, error: &'a str },
    /// It is due here, since the server has given it up.
    Adopt,
    /// It is processed, and its payload no longer needed.
    Process,
    /// It is dead and given up: it counts as processed.
    Discard,
    /// It is as if it had never been tried, for a message that is about to bring it. If none comes, it is overdue after a
    /// while like any other that the server does not bring.
    Reopen,
    /// It is due here as if it had never been tried, since an operator says so.
    Retry,
}

impl Move<'_> {
    /// The columns that change.
    fn changes(self) -> Vec<(&'static str, Expr)> {
        let now = crate::clock::now();
        let one_more = |column: &'static str| Expr::col(column).add(1);
        match self {
            Self::Start => vec![("starts", one_more("starts"))],
            Self::Take { keep_for, .. } => vec![
                ("status", Status::Parked.into()),
                ("reason", Expr::col("reason").if_null(Reason::DeliveriesSpent)),
                ("waits_for", Expr::null()),
                ("starts", one_more("starts")),
                ("available_at", (now + keep_for).into()),
            ],
            Self::Fail { error, longest } => vec![
                ("status", Status::Failed.into()),
                ("reason", Expr::null()),
                ("starts", 0.into()),
                ("attempts", one_more("attempts")),
                ("last_error", storable(error).into()),
                ("failed_at", now.into()),
                ("available_at", (now + OVERDUE + longest).into()),
            ],
            Self::Park { reason, waits_for, retry_after, error } => {
                let mut changes = vec![
                    ("status", Status::Parked.into()),
                    ("reason", reason.into()),
                    ("waits_for", waits_for.into()),
                    ("starts", 0.into()),
                    ("last_error", storable(error).into()),
                    ("available_at", (now + retry_after).into()),
                ];
                changes.extend(reason.is_waiting().then(|| ("received_at", waits_since())));
                changes
            }
            Self::Postpone { reason, retry_after, error } => {
                let mut changes = vec![
                    ("status", Status::Parked.into()),
                    ("reason", reason.into()),
                    ("last_error", storable(error).into()),
                    ("available_at", (now + retry_after).into()),
                ];
                // What its counters are the reason for is not begun again; any other is, and had an outcome.
                changes.extend((!reason.is_counted()).then_some(("starts", 0.into())));
                // No circle takes it along any more.
                changes.extend(reason.is_of_event().then_some(("waits_for", Expr::null())));
                changes
            }
            Self::Bury { reason, error } => vec![
                ("status", Status::Dead.into()),
                ("reason", reason.into()),
                ("waits_for", Expr::null()),
                ("last_error", storable(error).into()),
                ("failed_at", now.into()),
                ("processed_at", now.into()),
                ("available_at", Expr::null()),
            ],
            Self::Adopt => vec![
                ("status", Status::Parked.into()),
                ("reason", Reason::DeliveriesSpent.into()),
                ("available_at", now.into()),
            ],
            Self::Process => vec![
                ("status", Status::Processed.into()),
                ("reason", Expr::null()),
                ("waits_for", Expr::null()),
                ("payload", Expr::null()),
                ("processed_at", now.into()),
                ("available_at", Expr::null()),
            ],
            Self::Discard => vec![
                ("status", Status::Processed.into()),
                ("reason", Reason::Discarded.into()),
                ("payload", Expr::null()),
                ("processed_at", now.into()),
            ],
            Self::Reopen => vec![
                ("status", Status::Failed.into()),
                ("reason", Expr::null()),
                ("waits_for", Expr::null()),
                ("starts", 0.into()),
                ("attempts", 0.into()),
                ("processed_at", Expr::null()),
                ("received_at", now.into()),
                ("available_at", (now + OVERDUE).into()),
            ],
            // When it died before stays: its next death is another one, with a letter of its own.
            Self::Retry => vec![
                ("status", Status::Parked.into()),
                ("reason", Reason::Retried.into()),
                ("waits_for", Expr::null()),
                ("starts", 0.into()),
                ("attempts", 0.into()),
                ("received_at", waits_since()),
                ("available_at", now.into()),
            ],
        }
    }

    /// The move as an update of the rows that are still to be named.
    pub(crate) fn update(self) -> UpdateStatement {
        Query::update().table(TABLE).values(self.changes()).to_owned()
    }

    /// What must hold of the row besides that it is not settled, if this is what becomes of `message`.
    fn needs(&self, message: &Message) -> Condition {
        let is_not_parked = Expr::col("status").ne(Status::Parked);
        match self {
            // Nobody else has it.
            Self::Take { longest, .. } => Condition::any().add(is_not_parked).add(is_due(*longest)),
            Self::Adopt => Condition::all().add(is_not_parked),
            // Else an operator has had it tried anew while its letter was on its way: nothing is counted any more, or what waits
            // here is the message that was replayed, which nobody else brings again.
            Self::Bury { reason, .. } => {
                let is_counted = Condition::any().add(Expr::col("starts").gt(0)).add(Expr::col("attempts").gt(0));
                let place = || Expr::col("stream_seq");
                let is_latest = Condition::any()
                    .add(is_not_parked)
                    .add(place().is_null())
                    .add_option(message.stored_seq().map(|sequence| place().lte(sequence)));
                Condition::all().add(is_latest).add_option(reason.is_counted().then_some(is_counted))
            }
            _ => Condition::all(),
        }
    }
}

/// What an event has been through.
#[derive(Clone, Debug, PartialEq, Eq, FromQueryResult)]
pub(crate) struct Counters {
    /// How often it began since the last outcome.
    pub(crate) starts: i32,
    /// How often it failed.
    pub(crate) attempts: i32,
    /// What for, the last time.
    pub(crate) last_error: Option<String>,
    /// Why it waits, or is dead without a letter yet.
    reason: Option<String>,
}

impl Counters {
    /// What it is dead for, whatever is tried, though its letter was not taken.
    pub(crate) fn known_death(&self) -> Option<Reason> {
        self.reason.as_ref()?.parse().ok().filter(|reason: &Reason| reason.is_of_event())
    }
}

/// Makes a move on the row of an event, which is made first if there is none; `None` if it is settled, or somebody else's for
/// now. A crash between the two statements leaves a failed row without attempts, which is true.
pub(crate) async fn make<C: ConnectionTrait>(
    db: &C,
    message: &Message,
    step: Move<'_>,
) -> Result<Option<Counters>, DbErr> {
    db.execute(&insert_failed(message)).await?;
    let needs = step.needs(message);
    let update = step
        .update()
        // The same event may be in the stream again, replayed or republished, and a replay may have another name or fewer hops.
        .value("stream_seq", message.stored_seq())
        .value("headers", headers_of(message))
        .cond_where(is(message))
        .and_where(Expr::col("status").is_not_in(Status::SETTLED))
        .cond_where(needs)
        .returning(Query::returning().columns(["starts", "attempts", "last_error", "reason"]))
        .to_owned();
    db.query_one(&update).await?.map(|row| Counters::from_query_result(&row, "")).transpose()
}

/// As [`make`], in a transaction of its own. It waits for no other process that is in the middle of this very event, for as long
/// as that takes: a handler may hang.
pub(crate) async fn make_giving_way(
    db: &DatabaseConnection,
    message: &Message,
    step: Move<'_>,
) -> Result<Option<Counters>, DbErr> {
    let txn = dialect::begin(db).await?;
    let made = async {
        dialect::give_way(&txn).await?;
        make(&txn, message, step).await
    };
    let made = made.await;
    dialect::end(txn, made).await
}

fn headers_of(message: &Message) -> String {
    serde_json::to_string(&message.headers).unwrap_or_default()
}

/// Makes the row of a failed message unless it is there.
fn insert_failed(message: &Message) -> InsertStatement {
    let now = crate::clock::now();
    let (resource_type, resource_id, event_type) = message.labels();
    let row: [(&str, Expr); 12] = [
        ("source_app", message.source_app.as_str().into()),
        ("event_id", message.event_id.as_str().into()),
        ("resource_type", resource_type.into()),
        ("resource_id", resource_id.into()),
        ("event_type", event_type.into()),
        ("subject", message.subject.as_str().into()),
        ("status", Status::Failed.into()),
        ("payload", message.body.clone().into()),
        ("headers", headers_of(message).into()),
        ("stream_seq", message.stored_seq().into()),
        ("received_at", now.into()),
        ("available_at", (now + OVERDUE).into()),
    ];
    let (columns, values): (Vec<_>, Vec<_>) = row.into_iter().unzip();
    Query::insert().into_table(TABLE).columns(columns).values_panic(values).on_conflict(unless_there()).to_owned()
}

/// Opens a dead event again.
pub(crate) async fn reopen<C: ConnectionTrait>(db: &C, source: &str, event_id: &str) -> Result<(), DbErr> {
    let opened =
        opened(source, event_id).and_where(Expr::col("status").is_in([Status::Dead, Status::Failed])).to_owned();
    db.execute(&opened).await.map(drop)
}

/// Opens the event of a replayed message whose death was recorded only after the replay had opened it: its letter can be
/// read a moment before. A death of this very message stays.
pub(crate) async fn reopen_for<C: ConnectionTrait>(db: &C, message: &Message) -> Result<(), DbErr> {
    let Some(sequence) = message.stored_seq() else { return Ok(()) };
    let opened = opened(&message.source_app, &message.event_id)
        .and_where(Expr::col("status").eq(Status::Dead))
        .and_where(Expr::col("stream_seq").lt(sequence))
        .to_owned();
    db.execute(&opened).await.map(drop)
}

fn opened(source: &str, event_id: &str) -> UpdateStatement {
    Move::Reopen.update().cond_where(has_key(source, event_id)).to_owned()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use sea_orm::Database;

    use super::*;

    const INBOX: &str = "CREATE TABLE inbox_events (source_app text, event_id text, resource_type text, resource_id text, \
                         event_type text, subject text, status text, starts integer DEFAULT 0, attempts integer DEFAULT 0, \
                         last_error text, reason text, waits_for text, payload blob, headers text, stream_seq integer, \
                         available_at text, received_at text, processed_at text, failed_at text, \
                         PRIMARY KEY (source_app, event_id))";

    /// One event, at this place in the stream.
    fn message(stream_seq: u64) -> Message {
        let body = br#"{"event_id":"1","resource_type":"r","resource_id":"1","event_type":"created","payload":{}}"#;
        Message::read("a.sync.b".to_owned(), BTreeMap::new(), body.to_vec(), stream_seq)
    }

    #[tokio::test]
    async fn a_death_that_is_recorded_late_does_not_bury_a_replay_that_waits() {
        let db = Database::connect("sqlite::memory:").await.expect("a database");
        db.execute_unprepared(INBOX).await.expect("a table");
        let park = || Move::Park {
            reason: Reason::ParentMissing,
            waits_for: None,
            retry_after: Duration::from_secs(60),
            error: "",
        };
        let bury = || Move::Bury { reason: Reason::UnknownEvent, error: "" };
        make(&db, &message(60), park()).await.expect("a move").expect("its row");
        assert_eq!(make(&db, &message(10), bury()).await, Ok(None));
        make(&db, &message(60), bury()).await.expect("a move").expect("a death of its own");
    }
}
