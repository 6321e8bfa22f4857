//! One step of the relay: a batch is published while the one before is marked and the next one is read.

use std::mem;

use sea_orm::DbErr;

use super::waves::Published;
use super::{Relay, Step};
use crate::dialect::{answer, in_turn};
use crate::jetstream::PublishError;
use crate::lease::Lease;
use crate::outbox::{self, Batch, Mark};

/// What a relay has in hand between two steps.
pub(crate) struct Hand {
    lease: Lease,
    /// What JetStream has acknowledged and is still to be marked.
    acknowledged: Vec<Mark>,
    /// The next batch. It was read while these were being published, so an older event of one of its rows is acknowledged
    /// by now, or in it too.
    ahead: Option<Batch>,
    /// Whether the last events went out in vain, so that one alone is tried next. The client keeps a place for each answer that never
    /// comes, and where no stream carries them, all would come back.
    tries_one: bool,
}

impl Hand {
    pub(crate) fn empty() -> Self {
        Self { lease: Lease::new(outbox::LEASE), acknowledged: Vec::new(), ahead: None, tries_one: false }
    }
}

impl Relay {
    /// Publishes a batch, if it `can_publish` and this process holds the lease or can take it.
    pub(crate) async fn step(&self, hand: &mut Hand, can_publish: bool) -> Result<Step, DbErr> {
        if !can_publish {
            // The lease runs out, since it is for a process that can.
            self.put_down(hand).await?;
            return Ok(Step::Refused(PublishError::NotConnected));
        }
        if !hand.lease.is_held() {
            // Another process may have held it since, and have published what was read ahead.
            self.put_down(hand).await?;
            // While nothing waits, one statement finds that out, and nobody needs the lease.
            if !answer(outbox::any_pending(&self.db)).await? {
                return Ok(Step::Idle);
            }
            if !answer(hand.lease.hold(&self.db)).await? {
                return Ok(Step::Elsewhere);
            }
        }
        let batch = match hand.ahead.take() {
            Some(batch) => batch,
            None => {
                let read = answer(outbox::next_batch(&self.db, self.config.batch_size, &[]));
                let Some(batch) = hand.lease.beside(&self.db, read).await? else { return Ok(Step::Elsewhere) };
                batch
            }
        };
        let (acknowledged, is_empty) = (mem::take(&mut hand.acknowledged), batch.events.is_empty());
        let holder = hand.lease.holder().to_owned();
        let publish = self.publish_beside(batch, &acknowledged, &holder, hand.tries_one);
        match hand.lease.beside(&self.db, publish).await? {
            Some((published, ahead)) => match self.settle(hand, published, ahead).await? {
                Step::Idle if !is_empty => Ok(Step::Waiting),
                step => Ok(step),
            },
            // What is on its way, or not marked yet, goes out again under the same message ids, as after a crash.
            None => Ok(Step::Elsewhere),
        }
    }

    /// Publishes a batch. Beside that, marks what was acknowledged before, and then reads the next batch if there may be one.
    async fn publish_beside(
        &self,
        batch: Batch,
        acknowledged: &[Mark],
        holder: &str,
        alone: bool,
    ) -> Result<(Published, Option<Batch>), DbErr> {
        let in_hand: Vec<i64> = batch.events.iter().map(|event| event.id).collect();
        let is_full = batch.is_full;
        let waves = self.waves(batch.events, alone);
        // A row that waits must be read together with the younger events that wait behind it.
        let none_waits = waves.iter().map(Vec::len).sum::<usize>() == in_hand.len();
        let beside = async {
            let is_marked = self.mark(acknowledged, holder).await?;
            match is_marked && is_full && none_waits {
                true => answer(outbox::next_batch(&self.db, self.config.batch_size, &in_hand)).await.map(Some),
                false => Ok(None),
            }
        };
        let (published, ahead) = tokio::join!(self.publish(waves), beside);
        Ok((published, ahead?))
    }

    /// Writes down what came of a batch; what was acknowledged is marked beside the next one, if that is known.
    async fn settle(&self, hand: &mut Hand, published: Published, ahead: Option<Batch>) -> Result<Step, DbErr> {
        let Published { acknowledged, shortened, failed, delayed, refused } = published;
        let is_any_shortened = !shortened.is_empty();
        let is_done = is_any_shortened || !acknowledged.is_empty() || !failed.is_empty();
        for (mark, payload) in shortened {
            in_turn(&self.db, answer(outbox::shorten(&self.db, &mark, &payload))).await?;
        }
        for (mark, error) in failed {
            in_turn(&self.db, answer(outbox::mark_failed(&self.db, &mark, &error))).await?;
        }
        for ((delay, error), marks) in delayed {
            in_turn(&self.db, answer(outbox::delay(&self.db, &marks, delay, &error))).await?;
        }
        hand.acknowledged = acknowledged;
        let is_unanswered = matches!(refused, Some(PublishError::Unacknowledged(_)));
        hand.tries_one =
            refused.as_ref().is_some_and(|error| error.doubts_stream() || matches!(error, PublishError::NotConnected));
        // Younger events of a row that was refused, or is still to go out shortened, keep their place behind it.
        hand.ahead = ahead.filter(|next| refused.is_none() && !is_any_shortened && !next.events.is_empty());
        if hand.ahead.is_none() {
            self.put_down(hand).await?;
        }
        if is_unanswered {
            // Answers may come to another process, over its connection.
            answer(hand.lease.release(&self.db)).await?;
        }
        Ok(match refused {
            Some(error) => Step::Refused(error),
            None if is_done => Step::Published,
            None => Step::Idle,
        })
    }

    /// Marks what is acknowledged, and forgets what was read ahead.
    async fn put_down(&self, hand: &mut Hand) -> Result<(), DbErr> {
        hand.ahead = None;
        if !self.mark(&mem::take(&mut hand.acknowledged), hand.lease.holder()).await? {
            // Else they would be published again and again until it is renewed.
            hand.lease.doubt();
        }
        Ok(())
    }

    /// Whether what was acknowledged could be marked.
    async fn mark(&self, acknowledged: &[Mark], holder: &str) -> Result<bool, DbErr> {
        match acknowledged.is_empty() {
            true => Ok(true),
            false => in_turn(&self.db, answer(outbox::mark_sent(&self.db, acknowledged, holder))).await,
        }
    }

    /// Ends, so that another process may go on at once.
    pub(crate) async fn leave(&self, mut hand: Hand) -> Result<(), DbErr> {
        self.put_down(&mut hand).await?;
        answer(hand.lease.release(&self.db)).await
    }
}

#[cfg(test)]
mod tests {
    use sea_orm::ConnectionTrait;

    use super::*;
    use crate::ask;

    /// Whether what was acknowledged is marked by a process in whose back this came to the leases.
    async fn is_marked_after(meanwhile: &str) -> bool {
        let relay = Relay::without_nats().await;
        for sql in [
            "CREATE TABLE sync_leases (name text PRIMARY KEY, holder text, expires_at integer)",
            "CREATE TABLE outbox_events (id integer, event_id text, status text, sent_at text, last_error text)",
            "INSERT INTO outbox_events VALUES (1, 'event', 'pending', NULL, NULL)",
        ] {
            relay.db.execute_unprepared(sql).await.expect("a table");
        }
        let mut hand = Hand::empty();
        assert!(hand.lease.hold(&relay.db).await.expect("an answer"));
        hand.acknowledged.push(Mark { id: 1, event_id: "event".to_owned() });
        relay.db.execute_unprepared(meanwhile).await.expect("a statement");
        relay.put_down(&mut hand).await.expect("an answer");
        let sent = outbox::Status::Sent.condition();
        let is_marked = ask::count(&relay.db, outbox::TABLE, sent.into()).await.expect("a count") == 1;
        assert_eq!(hand.lease.is_held(), is_marked, "it is asked about the lease next");
        is_marked
    }

    #[tokio::test]
    async fn what_another_process_may_have_had_published_again_is_not_marked() {
        // As on a database that is slow: nobody else wants the lease.
        assert!(is_marked_after("UPDATE sync_leases SET expires_at = 0").await);
        assert!(!is_marked_after("UPDATE sync_leases SET holder = 'another'").await);
        assert!(!is_marked_after("DELETE FROM sync_leases").await);
    }
}
