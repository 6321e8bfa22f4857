//! The schedule of faults: drawn from a seed before anything runs, so that the seed repeats it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::TimeDelta;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use tokio::sync::{Mutex, MutexGuard};

use super::fault::{
    BadWeather, ClockJumped, ConnectionsTerminated, CutOff, DiskFull, Fault, Frozen, Killed, LeaderKilled, Locked,
    NatsAway, OlderEntities, PoolExhausted, PostgresAway, ReadOnly, SlowHandlers, StoreLost, Target, Victim,
};
use super::link::Weather;
use super::world::{CAST, Which};
use super::{Ground, Plan, Scenario};
use crate::Backend;

/// The pause before the next fault begins, in milliseconds: short enough for several at a time.
const PAUSE: std::ops::Range<u64> = 200..2_000;
/// How long a fault lasts, in milliseconds.
const LASTS: std::ops::Range<u64> = 300..6_000;
/// A little longer than the server waits for acknowledgements.
const FROZEN: std::ops::Range<u64> = 2_500..9_000;
/// How long what was broken is let alone afterwards.
const REST: Duration = Duration::from_secs(1);
/// How often a fault is drawn whose target is broken already, before the pause is over.
const DRAWS: u32 = 12;
/// The same where most kinds are not wanted.
const DRAWS_OF_FEW: u32 = 2_000;

/// A fault and its time.
#[derive(Debug)]
pub(super) struct Planned {
    /// When it begins.
    pub(super) at: Duration,
    /// How long it lasts.
    pub(super) lasts: Duration,
    /// What it is.
    pub(super) fault: Box<dyn Fault>,
}

/// Lets faults wait whose targets are not mended yet, since the machine is slow.
pub(super) struct Turns(BTreeMap<Target, Mutex<()>>);

impl Turns {
    pub(super) fn of(schedule: &[Planned]) -> Self {
        let targets = schedule.iter().flat_map(|planned| planned.fault.targets());
        Self(targets.map(|target| (target, Mutex::default())).collect())
    }

    /// Waits for all targets of a fault, always in one order.
    pub(super) async fn take(&self, planned: &Planned) -> Vec<MutexGuard<'_, ()>> {
        let targets: BTreeSet<Target> = planned.fault.targets().into_iter().collect();
        let mut taken = Vec::new();
        for turn in targets.iter().filter_map(|target| self.0.get(target)) {
            taken.push(turn.lock().await);
        }
        taken
    }
}

/// Draws the schedule of a run.
pub(super) fn draw(scenario: &dyn Scenario, ground: &Ground, plan: &Plan) -> Vec<Planned> {
    let mut random = StdRng::seed_from_u64(plan.seed);
    let mut tables: Vec<String> = scenario.entities().iter().map(|entity| entity.table.to_owned()).collect();
    tables.extend(["outbox_events", "inbox_events", "sync_leases", "sync_tombstones"].map(str::to_owned));
    let palette = Palette { scenario, ground, tables };
    let mut planned = Vec::new();
    let mut busy_until: BTreeMap<Target, Duration> = BTreeMap::new();
    let mut at = Duration::ZERO;
    loop {
        at += Duration::from_millis(random.random_range(PAUSE));
        if at >= plan.length {
            return planned;
        }
        let draws = if plan.only.is_empty() { DRAWS } else { DRAWS_OF_FEW };
        for _ in 0..draws {
            let (lasts, fault) = palette.draw(&mut random);
            if !plan.wants(fault.kind()) {
                continue;
            }
            let targets = fault.targets();
            let is_free = |target: &Target| busy_until.get(target).is_none_or(|until| *until < at);
            if targets.iter().all(is_free) {
                busy_until.extend(targets.into_iter().map(|target| (target, at + lasts + REST)));
                planned.push(Planned { at, lasts, fault });
                break;
            }
        }
    }
}

/// What there is to break.
struct Palette<'a> {
    scenario: &'a dyn Scenario,
    ground: &'a Ground,
    tables: Vec<String>,
}

impl Palette<'_> {
    fn draw(&self, random: &mut StdRng) -> (Duration, Box<dyn Fault>) {
        let which = if random.random() { Which::A } else { Which::B };
        let victim = Victim(which, random.random_range(0..CAST.len()));
        let lasts = Duration::from_millis(random.random_range(LASTS));
        if let Some(fault) = self.scenario.fault(random) {
            return (lasts, fault);
        }
        match random.random_range(0..16) {
            0..3 => (lasts / 2, Box::new(Killed(victim))),
            3 | 4 => (Duration::from_millis(random.random_range(FROZEN)), Box::new(Frozen(victim))),
            5 | 6 => (lasts, self.rare_process_fault(random, which, victim, lasts)),
            7..10 => (lasts, self.broker_fault(random)),
            10..13 => (lasts, self.database_fault(random, which)),
            _ => (lasts, self.weather(random, which, lasts)),
        }
    }

    fn rare_process_fault(&self, random: &mut StdRng, which: Which, victim: Victim, lasts: Duration) -> Box<dyn Fault> {
        match (random.random_range(0..4), self.scenario.older_program()) {
            (0, Some(older)) => {
                Box::new(OlderEntities { which, older: older.to_owned(), newer: self.scenario.program().to_owned() })
            }
            (1, _) => {
                let by = TimeDelta::minutes(random.random_range(-300..300));
                Box::new(ClockJumped { victim, by })
            }
            (2, _) => Box::new(PoolExhausted { victim, lasts }),
            _ => {
                let victim = Victim(which, random.random_range(2..CAST.len()));
                Box::new(SlowHandlers { victim, each: Duration::from_millis(random.random_range(100..3_000)) })
            }
        }
    }

    fn broker_fault(&self, random: &mut StdRng) -> Box<dyn Fault> {
        let nodes = self.ground.nats_nodes;
        let (one, in_order) = (random.random_range(0..nodes), random.random());
        if nodes == 1 {
            return match random.random_range(0..4) {
                0 => Box::new(StoreLost(one)),
                _ => Box::new(NatsAway { nodes: vec![one], in_order }),
            };
        }
        match random.random_range(0..8) {
            0 => Box::new(StoreLost(one)),
            1 => Box::new(NatsAway { nodes: vec![one], in_order }),
            2 => Box::new(NatsAway { nodes: (0..nodes).collect(), in_order }),
            3 | 4 => Box::new(CutOff(one)),
            _ => Box::new(LeaderKilled::default()),
        }
    }

    fn database_fault(&self, random: &mut StdRng, which: Which) -> Box<dyn Fault> {
        let lock = |random: &mut StdRng| {
            let table = self.tables.choose(random).cloned().unwrap_or_default();
            Box::new(Locked { which, table, lock: None })
        };
        if self.ground.databases[which as usize] == Backend::Sqlite {
            return lock(random);
        }
        match random.random_range(0..6) {
            0 | 1 => Box::new(PostgresAway { which, in_order: random.random() }),
            2 => Box::new(ConnectionsTerminated(which)),
            3 => Box::new(ReadOnly(which)),
            4 if self.ground.small_disks => Box::new(DiskFull(which)),
            _ => lock(random),
        }
    }

    fn weather(&self, random: &mut StdRng, which: Which, lasts: Duration) -> Box<dyn Fault> {
        let is_server = self.ground.databases[which as usize] == Backend::Postgres;
        let on = if is_server && random.random() { Target::DatabaseLink(which) } else { Target::BrokerLinks(which) };
        let weather = match random.random_range(0..4) {
            0 => Weather::Slow(Duration::from_millis(random.random_range(20..500))),
            1 => Weather::Stalled,
            2 => Weather::Cut,
            _ => Weather::LosesAnswers,
        };
        Box::new(BadWeather { on, weather, lasts, arrives: random.random() })
    }
}
