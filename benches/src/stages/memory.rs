//! How much a relay grows while a long outbox drains. It is a process of its own, this very program.

use std::process::Stdio;

use anyhow::{Context as _, Result};
use jsb_runtime::Config;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::bench::Bench;
use crate::database::{self, Backend};
use crate::fill;
use crate::report::{Comparison, Target};
use crate::site::Site;

const READY: &str = "ready";
const MEGABYTE: f64 = 1024.0 * 1024.0;
/// How much the relay may grow.
const ALLOWED: f64 = 64.0;

pub(super) async fn run(bench: &Bench) -> Result<Vec<Comparison>> {
    let count = bench.part_of(1_000_000);
    let growth = async || growth(bench, count).await;
    let (allowed, grown) = bench.rounds(async || Ok(ALLOWED), growth).await?;
    let measure = format!("growth while {count} pending rows drain, beside what is allowed");
    Ok(vec![Comparison::new("memory", measure, "MB", allowed, grown, Target::AtMost(1.0))])
}

async fn growth(bench: &Bench, count: usize) -> Result<f64> {
    let site = Site::alone(&bench.ground, Backend::Postgres).await?;
    let mut child = start(&site).await?;
    let idle = memory(&child, "VmRSS:")?;
    fill::outbox(&site, count, "pending").await?;
    site.until_relayed().await?;
    let peak = memory(&child, "VmHWM:")?;
    // At the end of its input it stops in order.
    drop(child.stdin.take());
    child.wait().await?;
    site.must_have_stored(count as u64).await?;
    site.remove(&bench.ground).await?;
    Ok((peak - idle) / MEGABYTE)
}

async fn start(site: &Site) -> Result<Child> {
    let config = &site.config;
    let mut child = Command::new(std::env::current_exe()?)
        .arg("--relay-child")
        .env("DATABASE_URL", &site.url)
        .env("APP_NAME", &config.app_name)
        .env("DESTINATION_APP", &config.destination_app)
        .env("NATS_URL", &config.nats_url)
        .env("STREAM_NAME", &config.stream_name)
        .env("ROLES", "relay")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut said = BufReader::new(child.stdout.take().context("its output is piped")?).lines();
    let first = said.next_line().await?;
    anyhow::ensure!(first.as_deref() == Some(READY), "the relay did not start");
    Ok(child)
}

/// A field of the process's status, in bytes.
fn memory(child: &Child, field: &str) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id().context("it runs")?))?;
    let line = status.lines().find(|line| line.starts_with(field)).context("the field is there")?;
    let kilobytes = line.split_whitespace().nth(1).context("the field has a value")?;
    Ok(kilobytes.parse::<f64>()? * 1024.0)
}

/// What the child does: relays until its input ends.
pub(crate) async fn relay_until_told() -> Result<()> {
    use std::io::Write;
    let url = std::env::var("DATABASE_URL")?;
    let config = Config::from_env()?.node(1, 2);
    let bridge = jsb_runtime::start(config, database::connect(Backend::Postgres, &url).await?).await?;
    writeln!(std::io::stdout(), "{READY}")?;
    tokio::io::stdin().read_to_end(&mut Vec::new()).await?;
    Ok(bridge.shutdown().await?)
}
