//! What a bridge costs while nothing happens.

use std::time::{Duration, Instant};

use anyhow::Result;
use jsb_runtime::Role;
use rustix::time::{ClockId, clock_gettime};
use sea_orm::sqlx::{PgPool, query_scalar};

use crate::bench::Bench;
use crate::database::{self, Backend};
use crate::report::{Comparison, Target};
use crate::site::Site;

/// How long is looked at a time, in milliseconds.
const WINDOW: usize = 20_000;
/// The bridge looks ever more rarely while nothing comes; until it is at its rarest, in milliseconds.
const CALM: usize = 10_000;

pub(super) async fn run(bench: &Bench) -> Result<Vec<Comparison>> {
    let site = Site::alone(&bench.ground, Backend::Postgres).await?;
    let observer = database::postgres(&bench.ground.postgres.url("postgres")).await?;
    // Its workers' transactions would be counted too.
    autovacuum(&observer, "off").await?;
    let bridge = site.start([Role::Relay, Role::Consumer]).await?;
    let part = |milliseconds| Duration::from_millis(bench.part_of(milliseconds).clamp(1000, milliseconds) as u64);
    tokio::time::sleep(part(CALM)).await;
    let (mut queries, mut cpu) = (Vec::new(), Vec::new());
    for _ in 0..bench.rounds {
        let before = (transactions(&observer, &site).await?, cpu_seconds(), Instant::now());
        tokio::time::sleep(part(WINDOW)).await;
        let seconds = before.2.elapsed().as_secs_f64();
        cpu.push((cpu_seconds() - before.1) / seconds);
        queries.push((transactions(&observer, &site).await? - before.0) as f64 / seconds);
    }
    bridge.shutdown().await?;
    autovacuum(&observer, "on").await?;
    site.remove(&bench.ground).await?;
    let one = vec![1.0; bench.rounds];
    Ok(vec![
        Comparison::new("idle", "queries, beside one a second", "1/s", one.clone(), queries, Target::AtMost(0.5)),
        Comparison::new("idle", "CPU, beside a whole core", "cores", one, cpu, Target::AtMost(0.002)),
    ])
}

/// How many transactions there were in the site's database; a statement outside of one counts as one.
async fn transactions(observer: &PgPool, site: &Site) -> Result<i64> {
    let count = query_scalar("SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = $1");
    Ok(count.bind(site.database_name()).fetch_one(observer).await?)
}

async fn autovacuum(observer: &PgPool, state: &'static str) -> Result<()> {
    let statement = if state == "off" { "ALTER SYSTEM SET autovacuum = off" } else { "ALTER SYSTEM RESET autovacuum" };
    sea_orm::sqlx::query(statement).execute(observer).await?;
    sea_orm::sqlx::query("SELECT pg_reload_conf()").execute(observer).await?;
    Ok(())
}

/// What this process has used so far, in user and in system mode.
fn cpu_seconds() -> f64 {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    used.tv_sec as f64 + used.tv_nsec as f64 / 1e9
}
