//! One run: a world is started, broken, mended and judged.

use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use chrono::DateTime;
use futures_util::future::try_join_all;
use jsb_runtime::operate;
use sea_orm::DatabaseConnection;

use super::actor::locked;
use super::books;
use super::child::RESTING;
use super::plan::{Plan, Report};
use super::quiet::{until_quiet, until_sent};
use super::schedule::{self, Planned, Turns};
use super::toll::Toll;
use super::words::{complaints, logged, panics, refusals};
use super::world::{Which, World};
use super::{Ground, Scenario};

/// How long everything may take to run at first.
const START: Duration = Duration::from_secs(90);
/// How long saves may take to end, and the outboxes to be sent.
const QUIET: Duration = Duration::from_secs(120);
/// How often the harness looks.
const LOOK: Duration = Duration::from_millis(100);

/// Runs a plan, and tells what happens on standard error.
///
/// # Errors
///
/// When a server cannot be started or mended, or no fault of the plan is possible. What is wrong with the two systems is
/// no error, but in the report.
pub async fn run(scenario: &dyn Scenario, plan: Plan) -> anyhow::Result<Report> {
    let ground = Ground::draw(plan.terrain, plan.small_disks, plan.seed);
    let schedule = schedule::draw(scenario, &ground, &plan);
    anyhow::ensure!(!schedule.is_empty(), "none of {:?} is possible on {ground:?}", plan.only);
    tell(format_args!("seed {}: {:?} for {:?}, {ground:?}", plan.seed, plan.terrain, plan.length));
    let mut world = World::start(scenario, &ground, plan.seed).await?;
    until_ready(&world).await?;
    let mut toll = break_by(schedule, &world).await?;
    let mended = Instant::now();
    tell(format_args!("all is mended; waiting for quiet"));
    let mut problems = rest(&world).await;
    let (a, b) = tokio::try_join!(world.sides[0].database.connect(), world.sides[1].database.connect())?;
    until_sent([&a, &b], QUIET).await;
    // Before an operator publishes events again that were published long ago.
    let published = [world.broker.published_by(Which::A).await?, world.broker.published_by(Which::B).await?];
    if world.must_republish.load(Ordering::SeqCst) {
        tell(format_args!("a store was lost: publishing everything again"));
        tokio::try_join!(republish(&a), republish(&b))?;
    }
    let quiet = until_quiet(&world, [&a, &b], mended).await.map_err(|moving| {
        problems.extend(moving.into_iter().map(|moving| format!("not quiet after {:.1?}: {moving}", mended.elapsed())));
    });
    problems.extend(panics(&world));
    let mut balance = books::balance(scenario, [&a, &b], [&published[0], &published[1]]).await?;
    problems.append(&mut balance.problems);
    balance.problems = problems;
    if !balance.problems.is_empty() {
        world.logs.disable_cleanup(true);
        tell(format_args!("the processes' logs are kept in {}", world.logs.path().display()));
    }
    toll.look_for_traces(&world);
    let ends = world.actors().map(|actor| actor.ends().len()).sum();
    let (refusals, logged) = (refusals(&world), logged(&world));
    Ok(Report { plan, toll, balance, quiet: quiet.ok(), refusals, logged, ends })
}

/// What a plan breaks when, as text: one line a fault.
pub fn schedule(scenario: &dyn Scenario, plan: &Plan) -> Vec<String> {
    let ground = Ground::draw(plan.terrain, plan.small_disks, plan.seed);
    let planned = schedule::draw(scenario, &ground, plan);
    planned.iter().map(|planned| format!("{planned:?}")).collect()
}

/// Carries out a schedule; returns when every fault is mended.
async fn break_by(schedule: Vec<Planned>, world: &World) -> anyhow::Result<Toll> {
    let began = Instant::now();
    let (toll, turns) = (Mutex::new(Toll::default()), Turns::of(&schedule));
    let carry_out = |mut planned: Planned| {
        let (toll, turns) = (&toll, &turns);
        async move {
            tokio::time::sleep(planned.at.saturating_sub(began.elapsed())).await;
            let _turn = turns.take(&planned).await;
            let begins = Instant::now();
            tell(format_args!("{:6.2?} for {:.2?}: {:?}", began.elapsed(), planned.lasts, planned.fault));
            let before = complaints(world);
            let begun = planned.fault.begin(world).await;
            if let Err(error) = &begun {
                tell(format_args!("       it did not come about: {error:#}"));
            }
            tokio::time::sleep(planned.lasts.saturating_sub(begins.elapsed())).await;
            let ended = planned.fault.end(world).await;
            let meanwhile = complaints(world).saturating_sub(before);
            locked(toll).note(&*planned.fault, begun.is_ok(), meanwhile);
            ended.map_err(|error| error.context(format!("{:?} could not be mended", planned.fault)))
        }
    };
    try_join_all(schedule.into_iter().map(carry_out)).await?;
    let toll = std::mem::take(&mut *locked(&toll));
    Ok(toll)
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
    // Everything: when something was sent is told by clocks that are hours apart.
    operate::republish(db, DateTime::UNIX_EPOCH, None, |_| {}).await?;
    Ok(())
}

fn tell(line: fmt::Arguments<'_>) {
    eprintln!("{line}");
}
