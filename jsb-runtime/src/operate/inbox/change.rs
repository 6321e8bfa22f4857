//! What an operator changes in the inbox: each change is one guarded update, so that it may race with a consumer.

use chrono::{DateTime, Utc};
use sea_orm::sea_query::{Condition, Expr, ExprTrait, LockBehavior, LockType, Order, Query};
use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr};

use super::{Filter, Reason, Status, TABLE, these};
use crate::ask;
use crate::inbox::{self, KEY, Move};
use crate::operate::{BATCH, Changed, by_the_clock_behind, change_named, event_id, in_batches};

/// Has events of the app `source` tried again, dead ones too, whose letter in the DLQ stays. They are due at once, a
/// running consumer takes them within seconds, and their attempts count anew. What a consumer has in hand is refused.
///
/// # Errors
///
/// When the database fails. What was changed until then stays changed.
///
/// # Example
///
/// ```
/// # async fn example(db: &sea_orm::DatabaseConnection) -> Result<(), sea_orm::DbErr> {
/// use jsb_runtime::operate::inbox;
///
/// let changed = inbox::retry(db, "system_b", &["01a20104-70f0-7367-b21f-f33e54c64b96".to_owned()]).await?;
/// for refused in &changed.refused {
///     println!("{} stays as it is", refused.event_id);
/// }
/// # Ok(())
/// # }
/// ```
pub async fn retry(db: &DatabaseConnection, source: &str, event_ids: &[String]) -> Result<Changed, DbErr> {
    let retry = |named: Condition| {
        Move::Retry.update().and_where(is_free(named.add(is_retryable()))).returning(event_id()).to_owned()
    };
    let why_not = |status: &str| {
        let why = match status.parse() {
            Ok(Status::Processed) => "it is processed; trying it again would do what it did twice",
            Ok(Status::Dead) => "it is dead and its payload is not here; `dlq replay` takes it from the DLQ",
            _ => "a consumer has it in hand; look again in a moment",
        };
        why.to_owned()
    };
    change_named(db, TABLE, event_ids, |named| these(source, named), retry, why_not).await
}

/// Gives up dead events of the app `source`: they count as processed, for the reason `discarded`, and are never tried again. Their
/// bodies go; letters in the DLQ stay.
///
/// # Errors
///
/// When the database fails. What was given up until then stays so.
pub async fn discard(db: &DatabaseConnection, source: &str, event_ids: &[String]) -> Result<Changed, DbErr> {
    let discard = |named: Condition| {
        let is_dead = Expr::col("status").eq(Status::Dead);
        Move::Discard.update().cond_where(named).and_where(is_dead).returning(event_id()).to_owned()
    };
    let why_not = |status: &str| format!("it is {status}, and only what is dead is discarded");
    change_named(db, TABLE, event_ids, |named| these(source, named), discard, why_not).await
}

/// As [`retry`], for all events of the app `source` that `filter` means and that are not processed. `progress` hears how
/// many were changed, now and then.
///
/// # Errors
///
/// When the database fails. What was changed until then stays changed.
pub async fn retry_all(
    db: &DatabaseConnection,
    source: &str,
    filter: &Filter,
    mut progress: impl FnMut(u64),
) -> Result<Changed, DbErr> {
    let which = || filter.condition().add(is_retryable());
    let (mut after, mut outcome) = (String::new(), Changed::default());
    loop {
        let select = Query::select()
            .column("event_id")
            .from(TABLE)
            .and_where(Expr::col("source_app").eq(source))
            .and_where(Expr::col("event_id").gt(after.as_str()))
            .cond_where(which())
            .order_by("event_id", Order::Asc)
            .limit(BATCH as u64)
            .to_owned();
        let ids: Vec<String> = ask::all(db, &select).await?;
        let Some(last) = ids.last() else { return Ok(outcome) };
        let update = Move::Retry.update().and_where(is_free(these(source, &ids).add(which()))).to_owned();
        outcome.changed += db.execute(&update).await?.rows_affected();
        after.clone_from(last);
        progress(outcome.changed);
    }
}

/// Not processed, with a payload to try, and in nobody's hand: what was taken from the inbox and has no outcome yet is its
/// process's until the hold ends. Not so what its counters say is dead: whoever took that only buries it.
fn is_retryable() -> Condition {
    let in_hand = Condition::all()
        .add(Expr::col("status").eq(Status::Parked))
        .add(Expr::col("starts").gt(0))
        .add(Expr::col("available_at").gt(crate::clock::now()));
    let is_counted = Expr::col("reason").is_in(Reason::ALL.into_iter().filter(|reason| reason.is_counted()));
    Condition::all()
        .add(Expr::col("status").ne(Status::Processed))
        .add(Expr::col("payload").is_not_null())
        .add(Condition::any().add(in_hand.not()).add(is_counted))
}

/// One of these events, unless an attempt has locked it, which is not waited for: its handler may hang.
fn is_free(which: Condition) -> Expr {
    let free = Query::select()
        .columns(KEY)
        .from(TABLE)
        .cond_where(which)
        .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
        .to_owned();
    Expr::tuple(KEY.map(Expr::col)).in_subquery(free)
}

/// Deletes the events that were settled before this time; returns how many. One that comes again after that is taken for
/// new: its row is safe by its version, but its handlers run again. `progress` hears how many, now and then. As far as this
/// process's clock is ahead of the database's, the time is set back.
///
/// # Errors
///
/// When the database fails. What was deleted until then stays deleted.
pub async fn prune(db: &DatabaseConnection, before: DateTime<Utc>, progress: impl FnMut(u64)) -> Result<u64, DbErr> {
    let before = by_the_clock_behind(db, before).await?;
    in_batches(|limit| inbox::prune(db, before, limit), progress).await
}
