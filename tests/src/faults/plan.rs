//! What a run is to be, and what came of it.

use std::fmt;
use std::time::Duration;

use super::Terrain;
use super::books::Balance;
use super::toll::Toll;
use super::world::Which;

/// How many of what a database refused are shown.
const REFUSALS: usize = 12;

/// What a run is to be.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where all chance comes from: it decides the ground, the faults and their times, and what each API writes.
    pub seed: u64,
    /// The servers.
    pub terrain: Terrain,
    /// How long faults happen.
    pub length: Duration,
    /// Whether disks run full too, which takes root.
    pub small_disks: bool,
    /// The kinds of faults that happen, by the names of their types; all, if it is empty.
    pub only: Vec<String>,
}

impl Plan {
    /// A run with every kind of fault but full disks.
    pub fn new(seed: u64, terrain: Terrain, length: Duration) -> Self {
        Self { seed, terrain, length, small_disks: false, only: Vec::new() }
    }

    /// Whether faults of this kind happen.
    pub(super) fn wants(&self, kind: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|wanted| wanted == kind)
    }
}

/// How a run became quiet.
#[derive(Clone, Debug)]
pub struct Quiet {
    /// How long after everything was mended.
    pub after: Duration,
    /// What moved last.
    pub last: Vec<String>,
}

/// What came of a run.
#[derive(Debug)]
pub struct Report {
    /// What it was to be.
    pub plan: Plan,
    /// What faults there were, and whether they bit.
    pub toll: Toll,
    /// What went over, and what is wrong.
    pub balance: Balance,
    /// How it became quiet, if it did.
    pub quiet: Option<Quiet>,
    /// What the databases refused to the workload, most frequent first.
    pub refusals: Vec<(u64, String)>,
    /// What the processes logged, most frequent first.
    pub logged: Vec<(u64, String)>,
    /// How often a process ended by itself, as it may while its database is away.
    pub ends: usize,
}

impl Report {
    /// Whether nothing is wrong.
    pub fn is_clean(&self) -> bool {
        self.balance.problems.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { plan, toll, balance, quiet, refusals, logged, ends } = self;
        let Balance { events: [a, b], rows, problems, history } = balance;
        write!(f, "{toll}")?;
        for (times, line) in refusals.iter().take(REFUSALS) {
            writeln!(f, "refused {times} time(s): {line}")?;
        }
        for (times, line) in logged {
            writeln!(f, "logged {times} time(s): {line}")?;
        }
        for line in problems.iter().chain(history) {
            writeln!(f, "{line}")?;
        }
        if let Some(Quiet { after, last }) = quiet {
            writeln!(f, "quiet after {after:.1?}; what moved last: {}", last.join(", "))?;
        }
        writeln!(
            f,
            "{} fault(s), {a} events of {}, {b} of {}, {rows} rows, {ends} process(es) ended by themselves, \
             {} problem(s)",
            toll.faults(),
            Which::A.app(),
            Which::B.app(),
            problems.len()
        )?;
        write!(f, "seed {} {:?}: {}", plan.seed, plan.terrain, if self.is_clean() { "clean" } else { "NOT CLEAN" })
    }
}
