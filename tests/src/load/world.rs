//! A world: two applications, each a process on a PostgreSQL of its own, and one nats-server between them.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use async_nats::jetstream::{self, consumer};
use dev_servers::{NatsOptions, NatsServer, Postgres};
use jsb_runtime::Config;

use super::actor::{APART, BEGUN, LOOK, QUERIES, RESET, REST, WORK};
use super::books;
use super::lane::Seen;
use super::latency::Latency;
use super::watermark::Watermark;
use super::work::Work;
use crate::child::Child;
use crate::{App, ChildCommand, TestDatabase, eventually, memory};

const STREAM: &str = "load";
const APPS: [&str; 2] = ["system_a", "system_b"];
/// How often the harness looks.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How long nothing may move while there is something to do.
const STALL: Duration = Duration::from_secs(60);
/// An application starves whose queries take longer than this, 99 of 100 of them, and so many times as long as the same
/// queries on a pool that the bridge has no part in.
const STARVED: Duration = Duration::from_millis(250);
const TIMES: u32 = 4;

/// Everything that works.
pub(super) struct World {
    pub(super) a: Side,
    pub(super) b: Side,
    pub(super) nats: NatsServer,
    /// What is not as it must be.
    pub(super) problems: Vec<String>,
    jetstream: jetstream::Context,
    /// When the last part ended, and how much was applied by then.
    part: (Instant, u64),
}

/// One application.
pub(super) struct Side {
    name: &'static str,
    child: Child,
    pub(super) app: App,
    memory: Watermark,
    _postgres: Postgres,
}

impl World {
    /// Starts everything, and waits until it runs.
    pub(super) async fn start(program: &Path) -> anyhow::Result<Self> {
        let nats = NatsServer::start(NatsOptions::default()).await?;
        let config = |app: usize| {
            let node = u32::from(app == 0);
            Config::new(APPS[app], APPS[1 - app]).nats_url(nats.url()).stream_name(STREAM).node(node, 2)
        };
        let (a, b) = tokio::try_join!(Side::start("a", program, config(0)), Side::start("b", program, config(1)))?;
        let jetstream = a.app.stream().await.context;
        let mut world = Self { a, b, nats, problems: Vec::new(), jetstream, part: (Instant::now(), 0) };
        world.tell_part("start").await?;
        Ok(world)
    }

    /// Judges `events` from A to B, after everything has settled, and ends both applications in order.
    pub(super) async fn end(mut self, events: u64) -> anyhow::Result<Vec<String>> {
        self.until("everything is settled", async |world| world.unsettled().await).await?;
        self.tell_part("end").await?;
        for side in [&self.a, &self.b] {
            if let Some((before, after)) = side.memory.growth() {
                let (name, before, after) = (side.name, megabytes(Some(before)), megabytes(Some(after)));
                self.problems.push(format!("the memory of {name} has grown: {before}, later {after}"));
            }
        }
        self.problems.extend(books::disagreements(&self.a.app.db, &self.b.app.db, events).await?);
        for side in [self.a, self.b] {
            let ended = side.child.stop().await;
            anyhow::ensure!(ended.success(), "{} ended by {ended}", side.name);
        }
        Ok(self.problems)
    }

    /// From now on memory must stay as it is, but for some play, in bytes.
    pub(super) fn mark_memory(&mut self, play: u64) {
        self.a.memory.mark(play);
        self.b.memory.mark(play);
    }

    /// Waits until B has applied so many events.
    pub(super) async fn until_applied(&mut self, events: u64) -> anyhow::Result<()> {
        let left = async |world: &mut Self| anyhow::Ok(events.saturating_sub(world.applied().await));
        self.until("events are applied", left).await
    }

    /// Waits until A has nothing more to do in a lane; what came of it.
    pub(super) async fn until_done(&mut self, lane: &str) -> anyhow::Result<Seen> {
        let left = async |world: &mut Self| {
            let seen = world.a.seen(lane).await?;
            anyhow::Ok(if seen.is_at_work { u64::MAX - seen.done } else { 0 })
        };
        self.until(&format!("`{lane}` is done"), left).await?;
        let seen = self.a.seen(lane).await?;
        self.see_refusals("a", lane, &seen);
        Ok(seen)
    }

    /// Waits until nothing is left; an error if that does not become less or more for a while.
    pub(super) async fn until(
        &mut self,
        what: &str,
        mut left: impl AsyncFnMut(&mut Self) -> anyhow::Result<u64>,
    ) -> anyhow::Result<()> {
        let mut last = (Instant::now(), None);
        loop {
            let left = left(self).await?;
            if left == 0 {
                return Ok(());
            }
            if last.1 != Some(left) {
                last = (Instant::now(), Some(left));
            }
            anyhow::ensure!(last.0.elapsed() < STALL, "nothing has moved for {STALL:?} until {what}: {left} left");
            self.a.note_memory();
            self.b.note_memory();
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Tells what happened since the last part, and begins a new one.
    pub(super) async fn tell_part(&mut self, part: &str) -> anyhow::Result<()> {
        let (applied, took) = (self.applied().await, self.part.0.elapsed().as_secs_f64());
        let rate = (applied - self.part.1) as f64 / took;
        let waiting = self.a.app.count("outbox_events", "pending").await;
        let nats = megabytes(self.nats.pid().and_then(memory::resident));
        let [a, b] = [&self.a, &self.b].map(|side| megabytes(side.child.memory()));
        tell(format_args!(
            "{part}: {applied} applied ({rate:.0}/s for {took:.1} s), {waiting} to send; \
             RSS of a {a}, b {b}, nats-server {nats}"
        ));
        for side in [0, 1] {
            let side = if side == 0 { &mut self.a } else { &mut self.b };
            let (name, seen, apart) = (side.name, side.seen(QUERIES).await?, side.seen(APART).await?.latency);
            side.child.order(RESET, RESET).await;
            let queries = format!("queries of {name}: {}; on a pool apart: {apart}", seen.latency);
            tell(format_args!("    {queries}"));
            if starves(seen.latency, apart) {
                self.problems.push(format!("starved during `{part}`: {queries}"));
            }
            self.see_refusals(name, QUERIES, &seen);
        }
        self.part = (Instant::now(), applied);
        Ok(())
    }

    /// How many events B has acknowledged, in the order of the stream.
    pub(super) async fn applied(&self) -> u64 {
        self.progress().await.ack_floor.stream_sequence
    }

    /// How far B's consumer is; after an outage the connection to ask by may be late.
    async fn progress(&self) -> consumer::Info {
        eventually("JetStream answers", || async {
            let stream = self.jetstream.get_stream_no_info(STREAM).await?;
            anyhow::Ok(Some(stream.consumer_info(format!("{}-workers", APPS[1])).await?))
        })
        .await
    }

    async fn unsettled(&self) -> anyhow::Result<u64> {
        let pending = self.a.app.count("outbox_events", "pending").await.unsigned_abs();
        let progress = self.progress().await;
        Ok(pending + progress.num_pending + progress.num_ack_pending as u64)
    }

    fn see_refusals(&mut self, name: &str, lane: &str, Seen { refused, refusals, .. }: &Seen) {
        if *refused > 0 {
            self.problems.push(format!("{name} was refused {refused} time(s) in `{lane}`: {refusals:?}"));
        }
    }
}

/// As in production: every commit reaches the disk.
const DURABLE: &[&str] = &["fsync=on", "full_page_writes=on"];

impl Side {
    async fn start(name: &'static str, program: &Path, config: Config) -> anyhow::Result<Self> {
        let postgres = Postgres::start_own_with(DURABLE).await?;
        let database = TestDatabase::at(postgres.create_database("app").await?);
        let app = App::on(database, config).await;
        let child = ChildCommand::new(program, &app).start().await;
        Ok(Self { name, child, app, memory: Watermark::default(), _postgres: postgres })
    }

    /// Lets work begin in a lane.
    pub(super) async fn begin(&mut self, lane: &str, work: &Work) -> anyhow::Result<()> {
        let order = format!("{WORK} {lane} {}", serde_json::to_string(work)?);
        self.child.order(&order, BEGUN).await;
        Ok(())
    }

    /// Lets nothing more begin in a lane.
    pub(super) async fn rest(&mut self, lane: &str) {
        self.child.order(&format!("{REST} {lane}"), REST).await;
    }

    /// What came of a lane's work.
    pub(super) async fn seen(&mut self, lane: &str) -> anyhow::Result<Seen> {
        let mut lanes: BTreeMap<String, Seen> = serde_json::from_str(&self.child.ask(LOOK).await)?;
        Ok(lanes.remove(lane).unwrap_or_default())
    }

    fn note_memory(&mut self) {
        if let Some(bytes) = self.child.memory() {
            self.memory.note(bytes);
        }
    }
}

/// Whether what is done on the bridge's pool is too slow for what the machine takes to do it.
pub(super) fn starves(on_bridge: Latency, apart: Latency) -> bool {
    on_bridge.p99 > STARVED.max(apart.p99 * TIMES)
}

pub(super) fn tell(line: std::fmt::Arguments<'_>) {
    eprintln!("{line}");
}

fn megabytes(bytes: Option<u64>) -> String {
    bytes.map_or_else(|| "unknown".to_owned(), |bytes| format!("{:.1} MB", bytes as f64 / f64::from(1 << 20)))
}
