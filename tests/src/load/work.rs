//! What actors save, and at what pace.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use jsb_runtime::SaveConnection;
use sea_orm::ActiveValue::{Set, Unchanged};
use sea_orm::{
    ActiveModelTrait, DatabaseConnection, DatabaseTransaction, DbErr, EntityTrait, QuerySelect, TransactionTrait,
};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use tokio::time::{Instant, MissedTickBehavior};
use uuid::Uuid;

use super::lane::{AtWork, Lane};
use crate::entities::{sighting, tally, ticket};

/// How many of its rows a writer changes again.
const REMEMBERED: usize = 1_000;
/// How much goes on at once of what is done at a pace.
const SIDE_BY_SIDE: usize = 4;

/// What an actor is to save.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Work {
    pub(super) what: What,
    /// How many saves.
    pub(super) saves: u64,
    pub(super) pace: Pace,
}

/// What is saved.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) enum What {
    /// Of ten saves five insert, four update and one deletes.
    Mixed,
    /// New rows.
    Rows,
    /// Rows that do not sync, on a pool of their own: as long as these take, the machine takes, and not the bridge.
    Plain,
    /// One row, which is counted up; a handler of it writes down what it sees.
    OneRow(Uuid),
}

/// When the next save begins.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) enum Pace {
    /// When the one before it has ended.
    Writers {
        /// How many write side by side.
        count: u64,
        /// How many saves commit together.
        per_transaction: u64,
    },
    /// At this interval, whether or not the one before it has ended, as callers of an API do.
    Every(Duration),
}

impl Work {
    /// Whether it is done on a pool that the bridge has no part in.
    pub(super) fn is_apart(&self) -> bool {
        matches!(self.what, What::Plain)
    }

    /// Does the work in a lane.
    pub(super) async fn run(self, db: DatabaseConnection, lane: Lane) -> Result<(), DbErr> {
        if let What::OneRow(id) = self.what {
            ticket::ActiveModel { id: Set(id), number: Set(0), ..Default::default() }.insert(&db).await?;
        }
        match self.pace {
            Pace::Writers { count, per_transaction } => {
                for writer in 0..count {
                    let saves = self.saves / count + u64::from(writer < self.saves % count);
                    tokio::spawn(write(self.what, saves, per_transaction, db.clone(), lane.enter()));
                }
            }
            Pace::Every(interval) => {
                let save = move || {
                    let db = db.clone();
                    async move { Writer::default().save(self.what, &db).await }
                };
                tokio::spawn(at_pace(interval, self.saves, lane.clone(), lane.enter(), save));
            }
        }
        Ok(())
    }
}

/// One writer's part of the work.
async fn write(what: What, mut left: u64, per_transaction: u64, db: DatabaseConnection, at_work: AtWork) {
    let mut writer = Writer::default();
    while left > 0 {
        let saves = left.min(per_transaction);
        at_work.time(Instant::now(), saves, writer.commit(what, saves, &db)).await;
        left -= saves;
    }
}

/// Begins something at each interval until the lane rests, and lets what is due wait while too much goes on, so that a slow
/// machine is not buried. It counts from when it was due; intervals that pass meanwhile are left out.
pub(super) async fn at_pace<F>(interval: Duration, times: u64, lane: Lane, _: AtWork, mut begin: impl FnMut() -> F)
where
    F: Future<Output = Result<(), DbErr>> + Send + 'static,
{
    let slots = Arc::new(Semaphore::new(SIDE_BY_SIDE));
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    for _ in 0..times {
        let due = ticks.tick().await;
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
        if lane.is_resting() {
            return;
        }
        let (work, at_work) = (begin(), lane.enter());
        tokio::spawn(async move {
            at_work.time(due, 1, work).await;
            drop(slot);
        });
    }
}

/// Somebody who saves, and remembers some of the rows.
#[derive(Default)]
struct Writer {
    turns: usize,
    rows: VecDeque<Uuid>,
}

impl Writer {
    async fn commit(&mut self, what: What, saves: u64, db: &DatabaseConnection) -> Result<(), DbErr> {
        if saves == 1 && !matches!(what, What::OneRow(_)) {
            return self.save(what, db).await;
        }
        let txn = db.begin().await?;
        for _ in 0..saves {
            match what {
                What::OneRow(id) => count_up(id, &txn).await?,
                what => self.save(what, &txn).await?,
            }
        }
        txn.commit().await
    }

    async fn save<C: SaveConnection>(&mut self, what: What, db: &C) -> Result<(), DbErr> {
        self.turns += 1;
        let one_of_mine = self.rows.get(self.turns % self.rows.len().max(1)).copied();
        match (what, self.turns % 10, one_of_mine) {
            (What::Plain, ..) => insert_plain(db).await,
            (What::Mixed, 0, Some(_)) => self.delete_oldest(db).await,
            (What::Mixed, 2 | 4 | 6 | 8, Some(id)) => {
                let value = Set(i64::try_from(self.turns).unwrap_or(i64::MAX));
                tally::ActiveModel { id: Unchanged(id), value, ..Default::default() }.update(db).await.map(drop)
            }
            _ => self.insert(db).await,
        }
    }

    async fn delete_oldest<C: SaveConnection>(&mut self, db: &C) -> Result<(), DbErr> {
        let Some(id) = self.rows.pop_front() else { return Ok(()) };
        tally::ActiveModel { id: Unchanged(id), ..Default::default() }.delete(db).await.map(drop)
    }

    async fn insert<C: SaveConnection>(&mut self, db: &C) -> Result<(), DbErr> {
        let id = Uuid::now_v7();
        let remark = Set("a remark of the length that remarks often have, more or less".to_owned());
        tally::ActiveModel { id: Set(id), value: Set(0), remark, ..Default::default() }.insert(db).await?;
        self.rows.push_back(id);
        self.rows.truncate(REMEMBERED);
        Ok(())
    }
}

async fn insert_plain<C: SaveConnection>(db: &C) -> Result<(), DbErr> {
    let text = || Set(Uuid::now_v7().to_string());
    let (number, stale) = (Set(0), Set(false));
    let row = sighting::ActiveModel {
        handler: text(),
        event_id: text(),
        event_type: text(),
        resource_id: text(),
        number,
        stale,
        ..Default::default()
    };
    row.insert(db).await.map(drop)
}

async fn count_up(id: Uuid, txn: &DatabaseTransaction) -> Result<(), DbErr> {
    let found = ticket::Entity::find_by_id(id).lock_exclusive().one(txn).await?;
    let number = found.map_or(0, |ticket| ticket.number) + 1;
    ticket::ActiveModel { id: Unchanged(id), number: Set(number), ..Default::default() }.update(txn).await.map(drop)
}
