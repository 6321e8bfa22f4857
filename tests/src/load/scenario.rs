//! The scenarios, by name.

mod outage;
mod steady;

use std::path::Path;
use std::time::Instant;

use clap::Subcommand;
use uuid::Uuid;

use super::actor::QUERIES;
use super::books;
use super::work::{Pace, What, Work};
use super::world::{World, tell};

/// The lane of what a scenario is about.
const SAVES: &str = "saves";

/// What is too much for most applications, and must not be for the bridge.
#[derive(Clone, Copy, Debug, Subcommand)]
pub enum Scenario {
    /// A saves as fast as it can and B applies, both for long: memory stays flat, and the applications' own queries get
    /// their connections.
    Steady {
        /// How many events.
        #[arg(long, default_value_t = 1_000_000)]
        events: u64,
    },
    /// NATS is away while many rows are saved; what waits drains without holding up new saves.
    Outage {
        /// How many rows wait.
        #[arg(long, default_value_t = 200_000)]
        pending: u64,
    },
    /// All updates are of one row, and arrive in order.
    HotRow {
        /// How many.
        #[arg(long, default_value_t = 10_000)]
        updates: u64,
    },
    /// Many rows commit at once.
    OneTransaction {
        /// How many.
        #[arg(long, default_value_t = 1_000)]
        rows: u64,
    },
    /// Many writers share the pool with the bridge.
    Writers {
        /// How many.
        #[arg(long, default_value_t = 64)]
        writers: u64,
        /// How many saves each makes.
        #[arg(long, default_value_t = 300)]
        saves: u64,
    },
}

/// Plays a scenario with a program that [`play`](super::actor::play)s an application, tells what it measures on standard
/// error, and returns what is not as it must be.
///
/// # Errors
///
/// When a server cannot be started, or nothing moves any more.
pub async fn run(scenario: Scenario, program: &Path) -> anyhow::Result<Vec<String>> {
    let began = Instant::now();
    let mut world = World::start(program).await?;
    let problems = match scenario {
        Scenario::Steady { events } => steady::play(world, events).await?,
        Scenario::Outage { pending } => outage::play(world, pending).await?,
        Scenario::HotRow { updates } => hot_row(world, updates).await?,
        Scenario::OneTransaction { rows } => {
            let pace = Pace::Writers { count: 1, per_transaction: rows };
            save(world, Work { what: What::Rows, saves: rows, pace }).await?
        }
        Scenario::Writers { writers, saves } => {
            // With so many writers the pool is the application's own to wait for.
            world.a.rest(QUERIES).await;
            let pace = Pace::Writers { count: writers, per_transaction: 1 };
            save(world, Work { what: What::Mixed, saves: writers * saves, pace }).await?
        }
    };
    tell(format_args!("{scenario:?} took {:.1?}, {} problem(s) {problems:?}", began.elapsed(), problems.len()));
    Ok(problems)
}

/// Saves, and waits until all of it is applied.
async fn save(mut world: World, work: Work) -> anyhow::Result<Vec<String>> {
    let events = work.saves;
    world.a.begin(SAVES, &work).await?;
    let seen = world.until_done(SAVES).await?;
    tell(format_args!("    saves of a: {}", seen.latency));
    world.tell_part("saved").await?;
    world.end(events).await
}

async fn hot_row(mut world: World, updates: u64) -> anyhow::Result<Vec<String>> {
    let pace = Pace::Writers { count: 4, per_transaction: 1 };
    world.a.begin(SAVES, &Work { what: What::OneRow(Uuid::now_v7()), saves: updates, pace }).await?;
    let seen = world.until_done(SAVES).await?;
    tell(format_args!("    saves of a: {}", seen.latency));
    world.tell_part("saved").await?;
    world.until_applied(updates + 1).await?;
    match books::disorder(&world.b.app.db, updates + 1).await? {
        0 => {}
        times => world.problems.push(format!("b has missed {times} event(s) of the row, or seen them out of order")),
    }
    world.end(updates + 1).await
}
