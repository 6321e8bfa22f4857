//! NATS is away, and comes back to a long queue.

use std::time::{Duration, Instant};

use sea_orm::sea_query::{Expr, ExprTrait, Query};
use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr};

use super::SAVES;
use crate::load::Latency;
use crate::load::watermark::FULL_BATCHES;
use crate::load::work::{Pace, What, Work};
use crate::load::world::{World, starves, tell};

/// The saves that go on all the time, whose latency is compared.
const PACED: &str = "paced";
/// Rows that do not sync, saved at the same pace on a pool apart.
const PLAIN: &str = "plain";
const PACE: Duration = Duration::from_millis(20);
/// The rows that pile up are saved in transactions of this size, by so many writers.
const PER_TRANSACTION: u64 = 500;
const WRITERS: u64 = 4;
/// Saves starve that take this many times as long as before the outage, besides being slow for what the machine takes.
const TIMES: u32 = 10;

pub(super) async fn play(mut world: World, pending: u64) -> anyhow::Result<Vec<String>> {
    for (lane, what) in [(PACED, What::Rows), (PLAIN, What::Plain)] {
        world.a.begin(lane, &Work { what, saves: u64::MAX, pace: Pace::Every(PACE) }).await?;
    }
    let enough = (pending / 10).clamp(100, 1_000);
    let left = async |world: &mut World| Ok(enough.saturating_sub(world.a.seen(PACED).await?.done));
    world.until("enough is saved to compare with", left).await?;
    let (before, _) = told(&mut world, "before the outage").await?;
    world.mark_memory(FULL_BATCHES);

    world.nats.stop().await;
    let pace = Pace::Writers { count: WRITERS, per_transaction: PER_TRANSACTION };
    let began = Instant::now();
    world.a.begin(SAVES, &Work { what: What::Rows, saves: pending, pace }).await?;
    world.until_done(SAVES).await?;
    tell(format_args!("{pending} rows were saved in {:.1?} while NATS was away", began.elapsed()));
    world.nats.restart().await?;

    let (queue, began) = (last_pending(&world.a.app.db).await?, Instant::now());
    told(&mut world, "during the outage").await?;
    world.until("the queue is sent", async |world| Ok(left_of(&world.a.app.db, queue).await?)).await?;
    tell(format_args!("the queue was sent in {:.1?}", began.elapsed()));
    let (during, plain) = told(&mut world, "while the queue was sent").await?;
    if starves(during, plain) && during.p99 > before.p99 * TIMES {
        world
            .problems
            .push(format!("saves starve while the queue is sent: {during}; before: {before}; plain: {plain}"));
    }
    let ratio = |during: Duration, before: Duration| during.as_secs_f64() / before.as_secs_f64();
    let (p50, p99) = (ratio(during.p50, before.p50), ratio(during.p99, before.p99));
    tell(format_args!("    saves took {p50:.1} times (p50) and {p99:.1} times (p99) as long as before the outage"));

    world.until_applied(pending).await?;
    told(&mut world, "while the rest was applied").await?;
    world.a.rest(PLAIN).await;
    world.a.rest(PACED).await;
    let paced = world.until_done(PACED).await?;
    world.end(pending + paced.done).await
}

/// The latency of the paced saves, and of plain ones, since it was told last.
async fn told(world: &mut World, part: &str) -> anyhow::Result<(Latency, Latency)> {
    let (saves, plain) = (world.a.seen(PACED).await?.latency, world.a.seen(PLAIN).await?.latency);
    world.tell_part(part).await?;
    tell(format_args!("    saves of a: {saves}; plain rows on a pool apart: {plain}"));
    Ok((saves, plain))
}

/// The youngest event that waits.
async fn last_pending(db: &DatabaseConnection) -> Result<i64, DbErr> {
    edge(db, Expr::col("id").max()).await.map(Option::unwrap_or_default)
}

/// How far the oldest event that waits is from the end of the queue.
async fn left_of(db: &DatabaseConnection, queue: i64) -> Result<u64, DbErr> {
    let oldest = edge(db, Expr::col("id").min()).await?;
    Ok(oldest.map_or(0, |oldest| u64::try_from(queue + 1 - oldest).unwrap_or(0)))
}

async fn edge(db: &DatabaseConnection, edge: Expr) -> Result<Option<i64>, DbErr> {
    let pending = Expr::cust("status = 'pending'");
    let select = Query::select().expr_as(edge, "id").from("outbox_events").and_where(pending).to_owned();
    db.query_one(&select).await?.map_or(Ok(None), |row| row.try_get("", "id"))
}
