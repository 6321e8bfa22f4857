//! Rows that exchange unique values or refer to one another: a circle of parked events is found and applied in one transaction.

mod among;
mod outages;

use std::collections::VecDeque;
use std::time::Duration;

use among::{Among, Member};
use sea_orm::DbErr;

use super::Processor;
use super::circle::{self, Circle, Link};
use super::origin::Origin;
use super::trial::Trial;
use crate::capture::OwnTransaction;
use crate::dialect::{self, answer, unless_lost};
use crate::inbox::{self, MAX_STARTS, Stored};
use crate::message::Message;
use crate::outcome::{Death, Tried, Verdict, verdict};
use crate::upsert::{ApplyError, Effect};

/// How the events of a circle came, however long ago.
const CIRCLE: Origin = Origin::Stored { age: Duration::ZERO, died_before: None };
/// How many events a circle has at the most.
const MOST: usize = 100;

/// What came of a look for a circle.
pub(super) enum Untangled {
    /// These are applied.
    Applied(Vec<Message>),
    /// None is, since a handler refused this one.
    Dead(Box<Stored>, Death),
    /// All are as they were.
    Left,
}

/// What came of applying events together.
enum Circled {
    /// All are applied.
    Applied,
    /// None is; which one is dead, if one is.
    Undone(Option<(usize, Death)>),
    /// Rows of none of them are in the way.
    Blocked(Vec<String>, ApplyError),
}

impl Processor {
    /// Whether a parked event may be one of a circle: it waits for a row, and another one for its own.
    pub(super) async fn may_close_circle(&self, stored: &Stored) -> Result<bool, DbErr> {
        let Some(row) = stored.message.row().filter(|_| stored.waits_for.is_some()) else { return Ok(false) };
        Ok(!answer(inbox::awaited(&self.db, &[row])).await?.is_empty())
    }

    /// Applies a circle of events that each wait for the row of the next one: for a unique value that it gives up, or to refer to
    /// it. Others join it whose rows are in the way too.
    pub(super) async fn untangle(&self, stored: Stored) -> Result<Untangled, ApplyError> {
        let Some(mut events) = self.circle(stored).await? else { return Ok(Untangled::Left) };
        // The handler of any of them may end the process. It is always the same one that counts it, so that one alone ends as dead.
        let oldest = (0..events.len()).min_by_key(|place| &events[*place].message.event_id).unwrap_or_default();
        let starts = unless_lost(&self.db, 0, events[oldest].begin_together(&self.db)).await?;
        if starts > MAX_STARTS {
            return Ok(Untangled::Dead(events.swap_remove(oldest).into(), Death::crash_loop()));
        }
        let ended = self.apply_through_outages(&mut events).await;
        match &ended {
            Ok(Circled::Applied) => {}
            // What ends the connection again and again is no better than what ends the process.
            Err(error) if error.ended_connection() => {}
            _ => self.take_back_start(&events[oldest].message).await?,
        }
        Ok(match ended? {
            Circled::Applied => Untangled::Applied(events.into_iter().map(|stored| stored.message).collect()),
            Circled::Undone(Some((place, death))) => Untangled::Dead(events.swap_remove(place).into(), death),
            Circled::Undone(None) => Untangled::Left,
            Circled::Blocked(_, error) => return Err(error),
        })
    }

    /// Applies a circle, with the parked events of rows that are in its way. The database was away under it this often.
    async fn apply_with_others(&self, events: &mut Vec<Stored>, outages: u32) -> Result<Circled, ApplyError> {
        loop {
            // Each transaction is looked after by itself: the second one may have just begun when the first would be looked for.
            let outcome = match unless_lost(&self.db, outages, self.apply_circle(events, false)).await {
                // Somebody holds a lock for longer than that, and may do so the next time too.
                Err(error) if error.is_timeout() || error.is_handlers() => {
                    unless_lost(&self.db, outages, self.apply_circle(events, true)).await?
                }
                outcome => outcome?,
            };
            let further = match &outcome {
                Circled::Blocked(rows, _) if events.len() < MOST => self.parked_beside(events, rows).await?,
                _ => None,
            };
            match further {
                Some(further) => events.push(further),
                None => return Ok(outcome),
            }
        }
    }

    /// The parked event of one of these rows that none of the events speaks of.
    async fn parked_beside(&self, events: &[Stored], rows: &[String]) -> Result<Option<Stored>, DbErr> {
        let known: Vec<String> = events.iter().filter_map(|stored| stored.message.row()).collect();
        for row in rows.iter().filter(|row| !known.contains(row)) {
            if let Some(stored) = answer(inbox::waiting_at(&self.db, row)).await? {
                return Ok(Some(stored));
            }
        }
        Ok(None)
    }

    /// Applies these events in one transaction, or none of them.
    async fn apply_circle(&self, events: &[Stored], takes_time: bool) -> Result<Circled, ApplyError> {
        let Some(members) = self.members(events) else { return Ok(Circled::Undone(None)) };
        let own = OwnTransaction::begin(&self.db).await?;
        match takes_time {
            true => dialect::take_time(&own.txn).await?,
            false => dialect::give_way(&own.txn).await?,
        }
        let mut to_come = Circle::of(members.iter().map(|member| member.row.clone()));
        let (mut all_written, mut incomplete) = (Vec::new(), Vec::new());
        let (mut queue, mut put_off): (VecDeque<usize>, _) = ((0..members.len()).collect(), 0);
        while let Some(place) = queue.pop_front() {
            let member = &members[place];
            let (written, lacks_references) =
                match own.run(self.write_among(&own.txn, member, &members, &to_come)).await? {
                    Among::Tried(written, lacks_references) => (written, lacks_references),
                    Among::TooEarly(error) if put_off == queue.len() => return Err(error),
                    Among::TooEarly(_) => {
                        queue.push_back(place);
                        put_off += 1;
                        continue;
                    }
                    Among::Blocked(rows, error) => {
                        own.txn.rollback().await?;
                        return Ok(Circled::Blocked(rows, error));
                    }
                };
            put_off = 0;
            let applied = written.filter(|written| written.effect == Effect::Applied);
            if !to_come.tried(&member.row, applied.is_some()) {
                // A row was changed here since its event was parked, which the event's own next try will find.
                own.txn.rollback().await?;
                return Ok(Circled::Undone(None));
            }
            all_written.extend(applied.map(|written| (place, written)));
            incomplete.extend(lacks_references.then_some(member));
        }
        for member in incomplete {
            self.complete(&own.txn, member).await?;
        }
        // Until now some of the rows held stand-ins, which no handler is to see.
        for (place, written) in all_written {
            let member = &members[place];
            match own.run(self.finish_among(&own.txn, member, written)).await {
                Err(error) if error.is_handlers() => {
                    own.txn.rollback().await?;
                    let death = self.handler_failed(member, error, takes_time).await?;
                    return Ok(Circled::Undone(death.map(|death| (place, death))));
                }
                finished => finished?,
            }
        }
        own.end(Ok::<_, ApplyError>(())).await?;
        let rows: Vec<&str> = members.iter().map(|member| member.row.as_str()).collect();
        tracing::info!(?rows, "rows that waited for one another were applied together");
        Ok(Circled::Applied)
    }

    /// A handler failed within a circle, as it would have if its event had come alone; why that is dead, if it is. Its own trouble
    /// with a database is given back the first time.
    async fn handler_failed(
        &self,
        &Member { message, event, .. }: &Member<'_>,
        error: ApplyError,
        takes_time: bool,
    ) -> Result<Option<Death>, ApplyError> {
        if !takes_time && verdict(&error, event) == Verdict::AtOnce {
            return Err(error);
        }
        match Trial::of(self, message, CIRCLE).handler_failed(event, &error).await? {
            Tried::Dead(death) => Ok(Some(death)),
            Tried::Ended(_) => Ok(None),
        }
    }

    /// The parked events that wait for one another in a circle, beginning with this one.
    async fn circle(&self, first: Stored) -> Result<Option<Vec<Stored>>, DbErr> {
        let Some(start) = first.message.row() else { return Ok(None) };
        let (mut rows, mut events) = (vec![start], vec![first]);
        while events.len() < MOST {
            let waits_for = events.last().and_then(|last| last.waits_for.clone());
            let next = match circle::follow(&rows, waits_for) {
                Link::Closed => return Ok(Some(events)),
                Link::Broken => return Ok(None),
                Link::Next(row) => row,
            };
            let Some(stored) = answer(inbox::waiting_at(&self.db, &next)).await? else { return Ok(None) };
            rows.push(next);
            events.push(stored);
        }
        Ok(None)
    }
}
