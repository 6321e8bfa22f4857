//! One run: a world is started, broken, mended and judged.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use sea_orm::{ConnectionTrait, DatabaseConnection};

use super::books::{self, Balance};
use super::child::RESTING;
use super::quiet::{until_quiet, until_sent};
use super::schedule::{self, Planned};
use super::world::{Which, World};
use super::{Ground, Scenario, Terrain};

/// How long everything may take to run at first.
const START: Duration = Duration::from_secs(90);
/// How long everything may take to become quiet.
const QUIET: Duration = Duration::from_secs(120);
/// How often the harness looks.
const LOOK: Duration = Duration::from_millis(100);
/// How many of what a database refused are shown.
const REFUSALS: usize = 12;

/// What a run is to be.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Where all chance comes from: it decides the ground, the faults and their times, and what each API writes.
    pub seed: u64,
    /// The servers.
    pub terrain: Terrain,
    /// How long faults happen.
    pub length: Duration,
    /// Whether disks run full too, which takes root.
    pub small_disks: bool,
}

/// What came of a run.
#[derive(Debug)]
pub struct Report {
    /// What it was to be.
    pub plan: Plan,
    /// How many faults there were.
    pub faults: usize,
    /// What went over, and what is wrong.
    pub balance: Balance,
    /// How long it took to become quiet.
    pub quiet_after: Option<Duration>,
    /// What the databases refused to the workload, most frequent first.
    pub refusals: Vec<(u64, String)>,
    /// How often a process ended by itself, as it may while its database is away.
    pub ends: usize,
}

impl Report {
    /// Whether nothing is wrong.
    pub fn is_clean(&self) -> bool {
        self.balance.problems.is_empty()
    }
}

/// Runs a plan, and tells what happens on standard error.
///
/// # Errors
///
/// When a server cannot be started or mended. What is wrong with the two systems is no error, but in the report.
pub async fn run(scenario: &dyn Scenario, plan: Plan) -> anyhow::Result<Report> {
    let ground = Ground::draw(plan.terrain, plan.small_disks, plan.seed);
    let schedule = schedule::draw(scenario, &ground, plan.seed, plan.length);
    tell(format_args!("seed {}: {:?} for {:?}, {ground:?}", plan.seed, plan.terrain, plan.length));
    let mut world = World::start(scenario, &ground, plan.seed).await?;
    until_ready(&world).await?;
    let faults = schedule.len();
    break_by(schedule, &world).await?;
    tell(format_args!("all is mended; waiting for quiet"));
    let mut problems = rest(&world).await;
    let (a, b) = tokio::try_join!(world.sides[0].database.connect(), world.sides[1].database.connect())?;
    if world.must_republish.load(Ordering::SeqCst) {
        until_sent([&a, &b], QUIET).await;
        tell(format_args!("a store was lost: publishing everything again"));
        republish(&a).await?;
        republish(&b).await?;
    }
    let quiet = until_quiet(&world, [&a, &b], QUIET).await;
    let quiet_after = quiet.as_ref().ok().copied();
    for moving in quiet.err().into_iter().flatten() {
        problems.push(format!("not quiet after {QUIET:?}: {moving}"));
    }
    problems.extend(panics(&world));
    let mut balance = books::balance(scenario, [&a, &b]).await?;
    problems.append(&mut balance.problems);
    balance.problems = problems;
    if !balance.problems.is_empty() {
        world.logs.disable_cleanup(true);
        tell(format_args!("the processes' logs are kept in {}", world.logs.path().display()));
    }
    let ends = world.actors().map(|actor| actor.ends().len()).sum();
    Ok(Report { plan, faults, balance, quiet_after, refusals: refusals(&world), ends })
}

/// What a seed breaks when, as text: one line a fault.
pub fn schedule(scenario: &dyn Scenario, terrain: Terrain, seed: u64, length: Duration) -> Vec<String> {
    let ground = Ground::draw(terrain, false, seed);
    let planned = schedule::draw(scenario, &ground, seed, length);
    planned.iter().map(|planned| format!("{planned:?}")).collect()
}

/// Carries out a schedule; returns when every fault is mended.
async fn break_by(schedule: Vec<Planned>, world: &World) -> anyhow::Result<()> {
    let began = Instant::now();
    let carry_out = |mut planned: Planned| async move {
        tokio::time::sleep(planned.at.saturating_sub(began.elapsed())).await;
        tell(format_args!("{:6.2?} for {:.2?}: {:?}", planned.at, planned.lasts, planned.fault));
        if let Err(error) = planned.fault.begin(world).await {
            tell(format_args!("       it did not come about: {error:#}"));
        }
        tokio::time::sleep((planned.at + planned.lasts).saturating_sub(began.elapsed())).await;
        let ended = planned.fault.end(world).await;
        ended.map_err(|error| error.context(format!("{:?} could not be mended", planned.fault)))
    };
    try_join_all(schedule.into_iter().map(carry_out)).await.map(drop)
}

async fn until_ready(world: &World) -> anyhow::Result<()> {
    let began = Instant::now();
    while let Some(late) = world.actors().find(|actor| !actor.is_ready()) {
        let log = late.log();
        anyhow::ensure!(began.elapsed() < START, "{} does not start: {:?}\n{log}", late.name, late.ends());
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}

/// Lets the workload end; a process that dies meanwhile comes back without it.
async fn rest(world: &World) -> Vec<String> {
    let apis = || world.sides.iter().filter_map(|side| side.actors.first());
    for api in apis() {
        api.dress(|costume| drop(costume.environment.insert(RESTING, "yes".to_owned())));
        api.say("rest");
    }
    let began = Instant::now();
    while apis().any(|api| !api.is_resting()) && began.elapsed() < QUIET {
        tokio::time::sleep(LOOK).await;
    }
    let restless = apis().filter(|api| !api.is_resting());
    restless.map(|api| format!("{} hangs in a save: it did not come to rest within {QUIET:?}", api.name)).collect()
}

/// What an operator does after a store was lost.
async fn republish(db: &DatabaseConnection) -> anyhow::Result<()> {
    let again = "UPDATE outbox_events SET status = 'pending', sent_at = NULL WHERE status = 'sent'";
    db.execute_unprepared(again).await?;
    Ok(())
}

fn panics(world: &World) -> Vec<String> {
    let of = |log: String| log.lines().filter(|line| line.contains("panicked")).map(str::to_owned).collect::<Vec<_>>();
    let found = world.actors().map(|actor| (&actor.name, of(actor.log())));
    found.flat_map(|(name, lines)| lines.into_iter().map(move |line| format!("{name}: {line}"))).collect()
}

fn refusals(world: &World) -> Vec<(u64, String)> {
    let mut all: BTreeMap<String, u64> = BTreeMap::new();
    for (refusal, times) in world.actors().flat_map(|actor| actor.refusals()) {
        *all.entry(refusal).or_default() += times;
    }
    let mut all: Vec<(u64, String)> = all.into_iter().map(|(refusal, times)| (times, refusal)).collect();
    all.sort_by(|one, other| other.cmp(one));
    all
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { plan, faults, balance, quiet_after, refusals, ends } = self;
        let Balance { events: [a, b], rows, problems, history } = balance;
        for (times, refusal) in refusals.iter().take(REFUSALS) {
            writeln!(f, "refused {times} time(s): {refusal}")?;
        }
        for line in problems.iter().chain(history) {
            writeln!(f, "{line}")?;
        }
        writeln!(
            f,
            "{faults} fault(s), {a} events of {}, {b} of {}, {rows} rows, quiet after {quiet_after:.1?}, \
             {ends} process(es) ended by themselves, {} problem(s)",
            Which::A.app(),
            Which::B.app(),
            problems.len()
        )?;
        write!(f, "seed {} {:?}: {}", plan.seed, plan.terrain, if self.is_clean() { "clean" } else { "NOT CLEAN" })
    }
}

fn tell(line: fmt::Arguments<'_>) {
    eprintln!("{line}");
}
