//! A child process and who looks after it: one that ends is started again, as an operator's supervisor would.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::child::{ANSWER_READY, ANSWER_RESTING, LIFE};

/// How soon a child that ended is started again.
const RESTART: Duration = Duration::from_millis(300);
/// How long a child may take to stop in order.
const STOP: Duration = Duration::from_secs(45);

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
    pub fn start(name: String, costume: Costume, logs: &std::path::Path) -> Self {
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
        let supervising = tokio::spawn(supervise(Arc::clone(&state), received));
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

async fn supervise(state: Arc<Mutex<State>>, mut orders: mpsc::UnboundedReceiver<Order>) {
    let mut wanted = true;
    loop {
        if wanted {
            match spawn(&state) {
                Ok(mut child) => wanted = attend(&mut child, &state, &mut orders).await,
                Err(error) => locked(&state).ends.push(format!("it could not be started: {error}")),
            }
            locked(&state).is_ready = false;
            tokio::time::sleep(RESTART).await;
        } else {
            match orders.recv().await {
                Some(Order::Start) => wanted = true,
                Some(_) => {}
                None => return,
            }
        }
    }
}

/// Carries out orders until the child ends; whether it is to be started again.
async fn attend(child: &mut Child, state: &Mutex<State>, orders: &mut mpsc::UnboundedReceiver<Order>) -> bool {
    let mut input = child.stdin.take();
    loop {
        tokio::select! {
            ended = child.wait() => {
                let end = ended.map_or_else(|error| error.to_string(), |status| status.to_string());
                locked(state).ends.push(end);
                return true;
            }
            order = orders.recv() => match order {
                None | Some(Order::Kill) => {
                    let _ = child.kill().await;
                    return false;
                }
                Some(Order::Stop) => {
                    say(&mut input, "stop").await;
                    if tokio::time::timeout(STOP, child.wait()).await.is_err() {
                        locked(state).ends.push(format!("it did not stop within {STOP:?}"));
                        let _ = child.kill().await;
                    }
                    return false;
                }
                Some(Order::Start) => {}
                Some(Order::Send(signal)) => send(child, signal),
                Some(Order::Say(order)) => say(&mut input, &order).await,
            }
        }
    }
}

/// Errors here mean that the child has ended, which its supervisor notices.
async fn say(input: &mut Option<ChildStdin>, order: &str) {
    if let Some(input) = input {
        let _ = input.write_all(format!("{order}\n").as_bytes()).await;
    }
}

fn send(child: &Child, signal: Signal) {
    if let Some(pid) = child.id().and_then(|id| Pid::from_raw(id.cast_signed())) {
        let _ = kill_process(pid, signal);
    }
}

fn spawn(state: &Arc<Mutex<State>>) -> std::io::Result<Child> {
    let (Costume { program, environment }, life, log) = {
        let mut state = locked(state);
        state.lives += 1;
        (state.costume.clone(), state.lives, state.log.clone())
    };
    let log = std::fs::File::options().create(true).append(true).open(log)?;
    let mut child = Command::new(program)
        .envs(environment)
        .env(LIFE, life.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(log)
        // Ctrl-C is for the harness, which ends its children itself.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()?;
    if let Some(output) = child.stdout.take() {
        let state = Arc::clone(state);
        tokio::spawn(async move {
            let mut lines = BufReader::new(output).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                hear(&mut locked(&state), &line);
            }
        });
    }
    Ok(child)
}

fn hear(state: &mut State, line: &str) {
    match line {
        ANSWER_READY => state.is_ready = true,
        ANSWER_RESTING => state.is_resting = true,
        line => {
            if let Some(refusal) = line.strip_prefix("refused ") {
                *state.refusals.entry(refusal.to_owned()).or_default() += 1;
            }
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
