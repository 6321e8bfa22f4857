//! What a bridge cannot do for now, or should be looked at for: what its status says beside the connection.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use tokio::time::{Duration, Instant};

use crate::locked::locked;
use crate::names::closed_set;

closed_set! {
    "task":
    /// A task of the bridge, or what one of them looks after. In the order in which the status tells them.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
    pub(crate) enum Task {
        Consumer = "consumer",
        Dlq = "dlq",
        Keys = "keys",
        Outbox = "outbox",
        Parked = "parked",
        Provisioner = "provisioner",
        Relay = "relay",
        Rescue = "rescue",
        Retention = "retention",
        Stream = "stream",
        Sweep = "sweep",
    }
}

/// Problems by the tasks that have them, as all tasks of a bridge share them.
#[derive(Clone, Default)]
pub(crate) struct Problems(Arc<Mutex<Kept>>);

#[derive(Default)]
struct Kept {
    reported: BTreeMap<Task, (String, Instant)>,
    panicked: BTreeSet<Task>,
}

impl Problems {
    /// Keeps what a task cannot do; `None` once it can.
    pub(crate) fn report(&self, task: Task, problem: Option<String>) {
        let mut kept = locked(&self.0);
        match problem {
            Some(problem) => kept.reported.insert(task, (problem, Instant::now())),
            None => kept.reported.remove(&task),
        };
    }

    /// Forgets what a task has not reported for so long.
    pub(crate) fn expire(&self, task: Task, after: Duration) {
        locked(&self.0).reported.retain(|of, (_, since)| *of != task || since.elapsed() < after);
    }

    /// Keeps that a task panicked, beside what it reports itself; `false` once it has run for a while.
    pub(crate) fn report_panic(&self, task: Task, panicked: bool) {
        let mut kept = locked(&self.0);
        match panicked {
            true => kept.panicked.insert(task),
            false => kept.panicked.remove(&task),
        };
    }

    /// Whether a task has a problem already.
    pub(crate) fn has(&self, task: Task) -> bool {
        locked(&self.0).reported.contains_key(&task)
    }

    /// What tasks have reported.
    pub(crate) fn reported(&self) -> Vec<String> {
        locked(&self.0).reported.iter().map(|(task, (problem, _))| format!("{task}: {problem}")).collect()
    }

    /// Which tasks panicked.
    pub(crate) fn panics(&self) -> Vec<String> {
        let line = |task: &Task| format!("{task}: it panicked and was begun again; see the log");
        locked(&self.0).panicked.iter().map(line).collect()
    }
}
