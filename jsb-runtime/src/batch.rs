//! One attempt on many events at once: their inbox rows and their rows, in one transaction.

mod merge;

use std::collections::BTreeMap;

use merge::Doomed;
use sea_orm::{DatabaseConnection, DatabaseTransaction};

use crate::dialect;
use crate::event::Envelope;
use crate::inbox;
use crate::message::Message;
use crate::outcome::Settled;
use crate::registry::{EntityRegistration, Registry};
use crate::schema::Said;
use crate::upsert::Applier;
use crate::upsert::ApplyError;

/// How many events are applied together at the most. Each takes a lock, of which PostgreSQL's table holds some 6,400 by
/// default, and a few of the 32,766 values that SQLite binds to a statement; `merge/write.rs` counts those of rows itself.
pub(crate) const MOST: usize = 1_000;

/// Events that are applied together, in their order; no more than [`MOST`].
pub(crate) struct Batch<'a> {
    pub(crate) registry: &'a Registry,
    pub(crate) applier: Applier<'a>,
    pub(crate) events: &'a [(&'a Message, &'a Said)],
}

/// The events of one entity, and where they stand in the batch.
type Share<'a> = (&'static EntityRegistration, Vec<usize>, Vec<(&'a Envelope, &'a Said)>);

/// What an event says that may be applied together with others: it is of sound form, and nothing but its row is to be
/// written.
pub(crate) fn read(registry: &Registry, message: &Message) -> Option<Said> {
    let event = message.admit().ok().filter(|event| event.is_of_row())?;
    let entity = registry.entity(&event.resource_type)?;
    let is_plain = registry.handlers(&event.resource_type, &event.event_type).is_empty();
    is_plain.then(|| entity.schema().said_by(event).ok())?
}

impl Batch<'_> {
    /// Tries the events; all that they write commits, or nothing does. `None` for those that are to be tried alone,
    /// since the inbox knows them already.
    ///
    /// # Errors
    ///
    /// When one of the events, whichever it is, needs a closer look.
    pub(crate) async fn run(&self, db: &DatabaseConnection) -> Result<Vec<Option<Settled>>, ApplyError> {
        let _turn = dialect::queue_to_write(db).await;
        let txn = dialect::begin(db).await?;
        let settled = self.run_in(&txn).await;
        dialect::end(txn, settled).await
    }

    async fn run_in(&self, txn: &DatabaseTransaction) -> Result<Vec<Option<Settled>>, ApplyError> {
        dialect::give_way(txn).await?;
        let messages: Vec<&Message> = self.events.iter().map(|(message, _)| *message).collect();
        let new = inbox::claim_all(txn, &messages).await?;
        let mut settled = vec![None; messages.len()];
        let mut doomed = Vec::new();
        for (entity, places, events) in self.shares(&new) {
            let merged = merge::upsert_all(txn, entity.schema(), &events, self.applier).await?;
            for (place, effect) in places.into_iter().zip(merged.effects) {
                settled[place] = Some(effect.into());
            }
            doomed.push((entity, merged.doomed));
        }
        // Children go before their parents.
        let doomed = doomed.into_iter().rev().filter(|(_, rows): &(_, Vec<Doomed>)| !rows.is_empty());
        for (entity, rows) in doomed {
            merge::delete_all(txn, entity.schema(), rows).await?;
        }
        Ok(settled)
    }

    /// The new events by their entities, parents before their children.
    fn shares(&self, new: &[bool]) -> Vec<Share<'_>> {
        let mut shares: BTreeMap<(usize, &str), Share<'_>> = BTreeMap::new();
        for (place, (message, said)) in self.events.iter().enumerate().filter(|(place, _)| new[*place]) {
            let Ok(event) = &message.envelope else { continue };
            let Some(entity) = self.registry.entity(&event.resource_type) else { continue };
            let rank = self.registry.rank(entity);
            let (_, places, events) = shares.entry(rank).or_insert_with(|| (entity, Vec::new(), Vec::new()));
            places.push(place);
            events.push((event, *said));
        }
        shares.into_values().collect()
    }
}
