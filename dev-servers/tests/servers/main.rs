//! Real servers, started, stopped, killed, and looked for afterwards.

mod machine;
mod nats;
mod postgres;
mod program;

use std::{
    error::Error,
    net::TcpListener,
    process::Command,
    thread,
    time::{Duration, Instant},
};

type TestResult = Result<(), Box<dyn Error>>;

/// Waits for a condition, and fails if it does not come about.
fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(Instant::now() < deadline, "not within 30 s: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// The port of a server's URL.
fn port(url: &str) -> Result<u16, Box<dyn Error>> {
    Ok(url::Url::parse(url)?.port().ok_or("a URL without a port")?)
}

fn is_free(port: u16) -> bool {
    TcpListener::bind(("127.0.0.1", port)).is_ok()
}

/// Whether there is such a process; one that has ended but still has an entry counts.
fn exists(pid: u32) -> bool {
    let mut kill = Command::new("sh");
    kill.args(["-c", "kill -s 0 \"$1\" 2>/dev/null", "sh"]).arg(pid.to_string());
    kill.status().is_ok_and(|status| status.success())
}
