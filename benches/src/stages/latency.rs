//! From the commit on one side to the commit on the other, at a hundred saves a second.
//!
//! PostgreSQL itself notes when each transaction commits, so that nobody has to look, and be in the way. It does so just
//! before the commit goes to the disk, on both sides, so that one fsync is within each figure.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use async_nats::jetstream::stream;
use jsb_runtime::Role;
use sea_orm::sqlx::{PgPool, query, query_as};
use tokio::task::JoinSet;

use crate::bench::Bench;
use crate::database::Backend;
use crate::report::{Comparison, Target};
use crate::saves::{self, Way};
use crate::site::Site;

/// A hundred a second.
const PACE: Duration = Duration::from_millis(10);

pub(super) async fn run(bench: &Bench) -> Result<Vec<Comparison>> {
    let [a, b] = Site::pair(&bench.ground, Backend::Postgres).await?;
    let saves = bench.part_of(1000);
    for site in [&a, &b] {
        site.sql("CREATE TABLE commits (id bigserial PRIMARY KEY, what text NOT NULL)").await?;
    }
    let subject = format!("{}.ground", a.config.app_name);
    let config =
        stream::Config { name: subject.replace('.', "-"), subjects: vec![subject.clone()], ..Default::default() };
    a.nats.context.create_stream(config).await?;

    let bridges = [a.start([Role::Relay, Role::Consumer]).await?, b.start([Role::Relay, Role::Consumer]).await?];
    let (theirs, ours) =
        bench.rounds(async || steps(&a, &b, &subject, saves).await, async || journeys(&a, &b, saves).await).await?;
    for bridge in bridges {
        bridge.shutdown().await?;
    }
    a.nats.context.delete_stream(subject.replace('.', "-")).await?;
    b.remove(&bench.ground).await?;
    a.remove(&bench.ground).await?;

    let comparison = |percent: usize, target| {
        let of = |rounds: &[Vec<f64>]| rounds.iter().map(|sorted| quantile(sorted, percent)).collect();
        Comparison::new("latency", format!("p{percent}"), "ms", of(&theirs), of(&ours), Target::AtMost(target))
    };
    Ok(vec![comparison(50, 2.0), comparison(99, 4.0)])
}

/// The milliseconds, sorted, that the unavoidable takes: a commit on each side, and a message stored in between.
async fn steps(a: &Site, b: &Site, subject: &str, saves: usize) -> Result<Vec<f64>> {
    for site in [a, b] {
        site.settle().await?;
    }
    let (a_pool, b_pool) = (pool(a), pool(b));
    let (context, subject) = (a.nats.context.clone(), subject.to_owned());
    paced(saves, move || {
        let (a, b, context, subject) = (a_pool.clone(), b_pool.clone(), context.clone(), subject.clone());
        async move {
            let started = Instant::now();
            commit(&a).await?;
            context.publish(subject, "x".repeat(400).into()).await?.await?;
            commit(&b).await?;
            Ok(started.elapsed().as_secs_f64() * 1000.0)
        }
    })
    .await
}

async fn commit(pool: &PgPool) -> Result<()> {
    query("INSERT INTO commits (what) VALUES ($1)").bind("x".repeat(400)).execute(pool).await?;
    Ok(())
}

/// The milliseconds, sorted, from each commit on A to that of the same row on B.
async fn journeys(a: &Site, b: &Site, saves: usize) -> Result<Vec<f64>> {
    for site in [a, b] {
        site.settle().await?;
    }
    let before = commits(a).await?;
    let (db, hand) = (a.db.clone(), a.hand.clone());
    paced(saves, move || {
        let (db, hand) = (db.clone(), hand.clone());
        async move { saves::insert_one(&hand, &db, Way::Synced).await.map(|()| 0.0) }
    })
    .await?;
    a.until_relayed().await?;
    b.until_applied().await?;
    let (left, arrived) = (commits(a).await?, commits(b).await?);
    let journey = |(id, left): (&i64, &i64)| {
        let arrived = arrived.get(id).with_context(|| format!("row {id} on the other side"))?;
        Ok((arrived - left) as f64 / 1000.0)
    };
    let new = left.iter().filter(|(id, _)| !before.contains_key(id));
    let mut journeys = new.map(journey).collect::<Result<Vec<_>>>()?;
    anyhow::ensure!(journeys.len() == saves, "{} rows travelled, and not {saves}", journeys.len());
    journeys.sort_by(f64::total_cmp);
    Ok(journeys)
}

/// When each row was committed, in microseconds.
async fn commits(site: &Site) -> Result<HashMap<i64, i64>> {
    let commits =
        "SELECT id, (extract(epoch FROM pg_xact_commit_timestamp(xmin)) * 1000000)::bigint FROM organizations";
    Ok(query_as(commits).fetch_all(&pool(site)).await?.into_iter().collect())
}

fn pool(site: &Site) -> PgPool {
    site.db.get_postgres_connection_pool().clone()
}

/// Begins `count` times at the pace, whether or not the last one has ended; what they return, sorted.
async fn paced<W, F>(count: usize, work: W) -> Result<Vec<f64>>
where
    W: Fn() -> F,
    F: Future<Output = Result<f64>> + Send + 'static,
{
    let mut ticks = tokio::time::interval(PACE);
    let mut running = JoinSet::new();
    for _ in 0..count {
        ticks.tick().await;
        running.spawn(work());
    }
    let mut figures = running.join_all().await.into_iter().collect::<Result<Vec<_>>>()?;
    figures.sort_by(f64::total_cmp);
    Ok(figures)
}

fn quantile(sorted: &[f64], percent: usize) -> f64 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or(f64::NAN)
}
