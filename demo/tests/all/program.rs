//! Programs that do not outlive their test, and what is waited for.

use std::ffi::OsStr;
use std::fmt::Debug;
use std::io;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use jsb_runtime::Config;
use tokio::process::Command;

/// How long a system may take to answer as it should, on a slow machine.
pub(crate) const ANSWERS_WITHIN: Duration = Duration::from_secs(60);
/// How long a program may take to come to its end, or to say what it should.
pub(crate) const ENDS_WITHIN: Duration = Duration::from_secs(300);

/// What the demo's options are taken from, besides what Config reads.
const OPTIONS: [&str; 10] = [
    "ROLE",
    "PORT",
    "HEALTH_PORT",
    "BIND",
    "DATABASE_URL",
    "PORT_A",
    "PORT_B",
    "DATABASE_A",
    "DATABASE_B",
    "DEMO_NATS_PORT",
];

/// The demo, which takes nothing from the environment that a test runs in but how it logs.
pub(crate) fn demo() -> Command {
    let mut demo = program(env!("CARGO_BIN_EXE_demo"));
    for variable in Config::VARIABLES.iter().copied().chain(OPTIONS) {
        demo.env_remove(variable);
    }
    demo
}

/// A program that nobody can type to, killed when its handle goes.
pub(crate) fn program(path: impl AsRef<OsStr>) -> Command {
    let mut program = Command::new(path);
    program.stdin(Stdio::null()).kill_on_drop(true);
    program
}

/// Creates, changes and deletes on both sides.
pub(crate) async fn test_sync(urls: &[String]) -> bool {
    let script = program("bash").arg(concat!(env!("CARGO_MANIFEST_DIR"), "/test_sync.sh")).args(urls).status();
    in_time("the script", script).await.success()
}

/// Asks for a page as a container's health check does.
pub(crate) async fn health_check(url: &str) -> Output {
    in_time("the health check", demo().args(["health", "--url", url]).output()).await
}

/// What comes of a program, which may not take for ever.
pub(crate) async fn in_time<T>(what: &str, comes: impl Future<Output = io::Result<T>>) -> T {
    let came = tokio::time::timeout(ENDS_WITHIN, comes).await;
    came.unwrap_or_else(|_| panic!("{what} takes longer than {ENDS_WITHIN:?}")).expect("it runs")
}

/// Asks until the answer is as wanted.
pub(crate) async fn until<A: Debug>(what: &str, ask: impl AsyncFn() -> A, is_wanted: impl Fn(&A) -> bool) -> A {
    let began = Instant::now();
    loop {
        let answer = ask().await;
        if is_wanted(&answer) {
            return answer;
        }
        assert!(began.elapsed() < ENDS_WITHIN, "{what} still says {answer:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
