//! An application in a process of its own, which a test can kill.

use std::fs::File;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};

use jsb_runtime::Config;
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{ChildStdin, ChildStdout, Command};
use tokio::task::JoinHandle;

use crate::probe::CHILD;
use crate::wait::DEADLINE;
use crate::{App, memory};

/// What a child says once its bridge runs.
pub const READY: &str = "ready";

/// How a child is started: the program, and what it finds in its environment.
#[derive(Clone)]
pub struct ChildCommand {
    program: PathBuf,
    environment: Vec<(&'static str, String)>,
    log: Option<PathBuf>,
}

/// A child that runs. Dropped, it is killed.
pub struct Child {
    process: tokio::process::Child,
    orders: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl ChildCommand {
    /// The program as one more process of `app`, configured like it.
    pub fn new(program: impl Into<PathBuf>, app: &App) -> Self {
        let mut environment = environment(&app.config);
        environment.push(("DATABASE_URL", app.database.url.clone()));
        environment.push((CHILD, String::new()));
        Self { program: program.into(), environment, log: None }
    }

    /// Logs everything there is to be said, and the error that it may end with, to a file.
    #[must_use]
    pub fn logging_to(mut self, file: impl Into<PathBuf>) -> Self {
        self.log = Some(file.into());
        self.set("RUST_LOG", "trace")
    }

    /// Sets one more variable, or another value.
    #[must_use]
    pub fn set(mut self, variable: &'static str, value: impl Into<String>) -> Self {
        self.environment.push((variable, value.into()));
        self
    }

    /// Starts the child and waits until its bridge runs.
    pub async fn start(&self) -> Child {
        let mut child = self.spawn();
        child.says(READY).await;
        child
    }

    /// Starts the child again whenever it ends, until the handle is aborted.
    pub fn start_again_and_again(self) -> JoinHandle<()> {
        tokio::spawn(async move {
            loop {
                let mut child = self.spawn();
                child.process.wait().await.expect("a child that ends");
            }
        })
    }

    /// Lets the child run to an end that it comes to by itself.
    pub async fn run(&self) -> ExitStatus {
        end_of(&mut self.spawn().process).await
    }

    fn spawn(&self) -> Child {
        let log = |path: &PathBuf| Stdio::from(File::create(path).expect("a file for the log"));
        let mut process = Command::new(&self.program)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(self.log.as_ref().map_or_else(Stdio::inherit, log))
            .kill_on_drop(true)
            .spawn()
            .expect("the child starts");
        let orders = process.stdin.take().expect("standard input is piped");
        let answers = process.stdout.take().expect("standard output is piped");
        Child { process, orders, answers: BufReader::new(answers).lines() }
    }
}

impl Child {
    /// Gives an order and waits for its answer.
    pub async fn order(&mut self, order: &str, answer: &str) {
        self.orders.write_all(format!("{order}\n").as_bytes()).await.expect("a child that listens");
        self.says(answer).await;
    }

    /// Waits until the child says this.
    pub async fn says(&mut self, expected: &str) {
        let said = async {
            while let Some(line) = self.answers.next_line().await.expect("a line of text") {
                if line == expected {
                    return;
                }
            }
            panic!("the child ended before it said {expected:?}");
        };
        let said = tokio::time::timeout(DEADLINE, said).await;
        said.unwrap_or_else(|_| panic!("the child did not say {expected:?} within {DEADLINE:?}"));
    }

    /// Gives an order and takes whatever the child answers.
    pub async fn ask(&mut self, order: &str) -> String {
        self.orders.write_all(format!("{order}\n").as_bytes()).await.expect("a child that listens");
        let answer = tokio::time::timeout(DEADLINE, self.answers.next_line()).await;
        let answer = answer.unwrap_or_else(|_| panic!("the child did not answer {order:?} within {DEADLINE:?}"));
        answer.expect("a line of text").unwrap_or_else(|| panic!("the child ended instead of answering {order:?}"))
    }

    /// Kills the child by SIGKILL.
    pub async fn kill(mut self) {
        self.process.kill().await.expect("a child that is killed");
    }

    /// Stops the child where it is by SIGSTOP, of which it notices nothing.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets a frozen child go on.
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let pid = self.process.id().and_then(|id| Pid::from_raw(id.cast_signed())).expect("a child that runs");
        kill_process(pid, signal).expect("a child that gets the signal");
    }

    /// The most memory that the child has used, in bytes, where the system says so.
    pub fn peak_memory(&self) -> Option<u64> {
        memory::peak(self.process.id()?)
    }

    /// The memory that the child uses now, in bytes, where the system says so.
    pub fn memory(&self) -> Option<u64> {
        memory::resident(self.process.id()?)
    }

    /// Lets the child stop in order.
    pub async fn stop(mut self) -> ExitStatus {
        self.order("stop", "stopped").await;
        end_of(&mut self.process).await
    }
}

/// Waits until a process comes to its end.
async fn end_of(process: &mut tokio::process::Child) -> ExitStatus {
    let ended = tokio::time::timeout(DEADLINE, process.wait()).await;
    ended.unwrap_or_else(|_| panic!("the child did not end within {DEADLINE:?}")).expect("a child that ends")
}

/// A configuration as `Config::from_env` reads it.
pub(crate) fn environment(config: &Config) -> Vec<(&'static str, String)> {
    let backoff: Vec<String> = config.backoff.iter().map(|delay| format!("{}ms", delay.as_millis())).collect();
    let mut environment = vec![
        ("APP_NAME", config.app_name.clone()),
        ("DESTINATION_APP", config.destination_app.clone()),
        ("NATS_URL", config.nats_url.clone()),
        ("STREAM_NAME", config.stream_name.clone()),
        ("BACKOFF", backoff.join(",")),
        ("BATCH_SIZE", config.batch_size.to_string()),
    ];
    let files = [
        ("NATS_CREDS", &config.nats_creds),
        ("NATS_NKEY", &config.nats_nkey),
        ("NATS_CA", &config.nats_ca),
        ("NATS_CERT", &config.nats_cert),
        ("NATS_KEY", &config.nats_key),
    ];
    let set = files.into_iter().filter_map(|(name, path)| Some((name, path.as_ref()?.display().to_string())));
    environment.extend(set);
    if let Some(node) = config.node {
        environment.push(("NODE_INDEX", node.index.to_string()));
        environment.push(("NODE_COUNT", node.count.to_string()));
    }
    environment
}
