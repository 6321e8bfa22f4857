//! What the faults of a run did: how often each kind came about, and what was said meanwhile.

use std::collections::BTreeMap;
use std::fmt;

use super::fault::Fault;
use super::world::World;

/// The toll of a run, by the kinds of its faults.
#[derive(Clone, Debug, Default)]
pub struct Toll(BTreeMap<&'static str, Kind>);

/// The toll of one kind.
#[derive(Clone, Debug, Default)]
struct Kind {
    begun: usize,
    failed: usize,
    /// Warnings and errors of processes, and refusals, while it lasted: by this fault or by others of that time.
    complaints: u64,
    /// What the databases write of it, and how often they did.
    traces: Option<(&'static str, usize)>,
}

impl Toll {
    /// How many faults there were.
    pub fn faults(&self) -> usize {
        self.0.values().map(|kind| kind.begun).sum()
    }

    /// How many of them did not come about.
    pub fn failed(&self) -> usize {
        self.0.values().map(|kind| kind.failed).sum()
    }

    /// How often the databases wrote that they met a fault of this kind; `None` if they write nothing of it, or it never
    /// happened.
    pub fn traces(&self, kind: &str) -> Option<usize> {
        self.0.get(kind)?.traces.map(|(_, times)| times)
    }

    /// Notes that a fault has come and gone.
    pub(super) fn note(&mut self, fault: &dyn Fault, came_about: bool, complaints: u64) {
        let kind = self.0.entry(fault.kind()).or_default();
        kind.begun += 1;
        kind.failed += usize::from(!came_about);
        kind.complaints += complaints;
        kind.traces = fault.trace().map(|words| (words, 0));
    }

    /// Looks for the faults in what the databases wrote.
    pub(super) fn look_for_traces(&mut self, world: &World) {
        let logs: Vec<String> = world.sides.iter().map(|side| side.database.log()).collect();
        for (words, times) in self.0.values_mut().filter_map(|kind| kind.traces.as_mut()) {
            *times = logs.iter().flat_map(|log| log.lines()).filter(|line| line.contains(*words)).count();
        }
    }
}

impl fmt::Display for Toll {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, Kind { begun, failed, complaints, traces }) in &self.0 {
            write!(f, "{name} {begun} time(s), {complaints} complaint(s) meanwhile")?;
            if *failed > 0 {
                write!(f, ", {failed} did not come about")?;
            }
            if let Some((words, times)) = traces {
                write!(f, ", `{words}` {times} time(s) in the databases' logs")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}
