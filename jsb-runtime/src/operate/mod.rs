//! For operators: what a running bridge does not do by itself. The command line is made of these, and an application may
//! call them as well.

mod connection;
mod dlq;
mod drain;
mod health;
pub mod inbox;
mod letter;
pub mod outbox;
mod provision;
mod replay;
mod report;
mod republish;
mod stream;
mod sweep;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::sea_query::{Condition, Query, ReturningClause};
use sea_orm::{DatabaseConnection, DbErr, StatementBuilder};
use serde::Serialize;

pub use crate::preflight::check_owner;
pub use connection::{Connection, OperateError};
pub(crate) use connection::{PATIENCE, as_user};
pub use dlq::{Dlq, FoundLetters};
pub use drain::{Drained, process_pending};
pub use health::{Check, Finding, Limits};
pub use letter::Letter;
pub use provision::Provisioner;
pub use replay::{Replay, ReplayError, Replayer};
pub use report::{Extent, Part, Report, report};
pub use republish::{RepublishError, republish};
pub use sweep::{SweepError, Swept};

pub use crate::jetstream::{ConsumerState, StreamError, StreamState};
use crate::{ask, clock, dialect};

/// How many events are changed in one transaction, so that neither relay nor consumer waits long for it.
pub(crate) const BATCH: usize = 1_000;

/// A time that this process reckoned, by the clock that is behind, its own or the database's: to one that is ahead, everything is
/// old.
pub(crate) async fn by_the_clock_behind(db: &DatabaseConnection, time: DateTime<Utc>) -> Result<DateTime<Utc>, DbErr> {
    let ours = clock::now();
    let ahead = (ours - dialect::now(db).await?).max(TimeDelta::zero());
    Ok(time.checked_sub_signed(ahead).unwrap_or(DateTime::<Utc>::MIN_UTC))
}

/// Does what changes up to so many events at a time until fewer are left; returns how many it were. `progress` hears it.
pub(crate) async fn in_batches<F: Future<Output = Result<u64, DbErr>>>(
    change: impl Fn(u64) -> F,
    mut progress: impl FnMut(u64),
) -> Result<u64, DbErr> {
    let mut changed = 0;
    loop {
        let batch = change(BATCH as u64).await?;
        changed += batch;
        progress(changed);
        if batch < BATCH as u64 {
            return Ok(changed);
        }
    }
}

/// Makes a change to those of the named events that it is for: `these` tells them in `table`, `statement` changes them and gives back
/// their ids, and `why_not` says of a status why the change is not for others.
pub(crate) async fn change_named<S: StatementBuilder>(
    db: &DatabaseConnection,
    table: &'static str,
    event_ids: &[String],
    these: impl Fn(&[String]) -> Condition,
    statement: impl Fn(Condition) -> S,
    why_not: impl Fn(&str) -> String,
) -> Result<Changed, DbErr> {
    let mut outcome = Changed::default();
    for named in event_ids.chunks(BATCH) {
        let changed = ask::all(db, &statement(these(named))).await?;
        let select = Query::select().columns(["event_id", "status"]).from(table).cond_where(these(named)).to_owned();
        outcome.note(named, &changed, &ask::pairs(db, &select).await?, &why_not);
    }
    Ok(outcome)
}

/// What such a change gives back.
pub(crate) fn event_id() -> ReturningClause {
    Query::returning().column("event_id")
}

/// What became of events that an operator named: to be tried again, or to be deleted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
#[must_use]
pub struct Changed {
    /// How many it was done to.
    pub changed: u64,
    /// Those that stay as they are.
    pub refused: Vec<Refused>,
    /// Ids of which there is no event.
    pub unknown: Vec<String>,
}

/// An event that stays as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Refused {
    /// Its id.
    pub event_id: String,
    /// Why.
    pub why: String,
}

impl Changed {
    /// Adds what became of these events, by the statuses of those that are there.
    fn note(
        &mut self,
        named: &[String],
        changed: &BTreeSet<String>,
        statuses: &BTreeMap<String, String>,
        why_not: impl Fn(&str) -> String,
    ) {
        self.changed += changed.len() as u64;
        for event_id in named.iter().filter(|event_id| !changed.contains(*event_id)) {
            match statuses.get(event_id) {
                Some(status) => {
                    self.refused.push(Refused { event_id: event_id.clone(), why: why_not(status) });
                }
                None => self.unknown.push(event_id.clone()),
            }
        }
    }
}
