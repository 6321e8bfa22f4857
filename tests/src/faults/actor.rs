//! A child process and who looks after it: one that ends is started again, as an operator's supervisor would.

mod supervisor;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::process::Signal;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// What a child is started as.
#[derive(Clone)]
pub struct Costume {
    /// The program.
    pub program: PathBuf,
    /// Its environment.
    pub environment: BTreeMap<&'static str, String>,
}

enum Order {
    Kill,
    Stop,
    Start,
    Send(Signal),
    Say(String),
}

/// A child process, or its place while it is down. Dropped, the child is killed.
pub struct Actor {
    /// Such as `a-consumer-1`.
    pub name: String,
    orders: mpsc::UnboundedSender<Order>,
    state: Arc<Mutex<State>>,
    supervising: JoinHandle<()>,
}

/// What is known of a child.
struct State {
    costume: Costume,
    log: PathBuf,
    lives: u64,
    is_ready: bool,
    is_resting: bool,
    refusals: BTreeMap<String, u64>,
    ends: Vec<String>,
}

impl Actor {
    /// Starts a child, whose log goes to a file of this name in `logs`.
    pub fn start(name: String, costume: Costume, logs: &Path) -> Self {
        let log = logs.join(format!("{name}.log"));
        let state = State {
            costume,
            log,
            lives: 0,
            is_ready: false,
            is_resting: false,
            refusals: BTreeMap::new(),
            ends: Vec::new(),
        };
        let state = Arc::new(Mutex::new(state));
        let (orders, received) = mpsc::unbounded_channel();
        let supervising = tokio::spawn(supervisor::supervise(Arc::clone(&state), received));
        Self { name, orders, state, supervising }
    }

    /// Kills the child by SIGKILL; it stays down until [`raise`](Self::raise).
    pub fn kill(&self) {
        self.order(Order::Kill);
    }

    /// Lets the child stop in order; it stays down until [`raise`](Self::raise).
    pub fn stop(&self) {
        self.order(Order::Stop);
    }

    /// Starts the child again, unless it runs.
    pub fn raise(&self) {
        self.order(Order::Start);
    }

    /// Sends a signal, if the child runs.
    pub fn signal(&self, signal: Signal) {
        self.order(Order::Send(signal));
    }

    /// Gives the child that runs now an order.
    pub fn say(&self, order: impl Into<String>) {
        self.order(Order::Say(order.into()));
    }

    /// Changes what the child is from its next start on.
    pub fn dress(&self, change: impl FnOnce(&mut Costume)) {
        change(&mut locked(&self.state).costume);
    }

    /// Whether the bridge of the child that runs now has started.
    pub fn is_ready(&self) -> bool {
        locked(&self.state).is_ready
    }

    /// Whether an API writes no more.
    pub fn is_resting(&self) -> bool {
        locked(&self.state).is_resting
    }

    /// What the database refused to the child, and how often.
    pub fn refusals(&self) -> BTreeMap<String, u64> {
        locked(&self.state).refusals.clone()
    }

    /// How the child ended when nobody had told it to.
    pub fn ends(&self) -> Vec<String> {
        locked(&self.state).ends.clone()
    }

    /// Everything that the child has logged.
    pub fn log(&self) -> String {
        let path = locked(&self.state).log.clone();
        std::fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    fn order(&self, order: Order) {
        // The supervisor lives as long as the actor.
        let _ = self.orders.send(order);
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        self.supervising.abort();
    }
}

pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
