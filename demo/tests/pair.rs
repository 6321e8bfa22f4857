//! The pair as a newcomer starts it: one command, and the script that tries everything, twice.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// The pair, which does not outlive its test.
struct Pair {
    process: Child,
    urls: Vec<String>,
}

impl Pair {
    /// Starts the pair on free ports and waits until it says where it is.
    fn start(data: &Path) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_demo"))
            .args(["--port-a", "0", "--port-b", "0", "--data"])
            .arg(data)
            .env_remove("NATS_URL")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the demo starts");
        let banner = BufReader::new(process.stdout.take().expect("its output"));
        let (sender, urls) = std::sync::mpsc::channel();
        // Its output is read to the end, as a terminal does.
        std::thread::spawn(move || {
            let systems = banner.lines().map_while(Result::ok).filter(|line| line.trim_start().starts_with("system "));
            systems.filter_map(|line| line.split_whitespace().last().map(str::to_owned)).for_each(|url| {
                // Nobody listens any more once both are known.
                let _ = sender.send(url);
            });
        });
        let url = || urls.recv_timeout(Duration::from_secs(120)).expect("the banner names both systems");
        Self { process, urls: vec![url(), url()] }
    }

    fn test_sync(&self) -> ExitStatus {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/test_sync.sh");
        Command::new("bash").arg(script).args(&self.urls).status().expect("the script runs")
    }

    /// Asks the pair to end, as Ctrl-C does, and waits for it.
    fn interrupt(&mut self) -> ExitStatus {
        let asked = Command::new("kill").args(["-INT", &self.process.id().to_string()]).status();
        assert!(asked.expect("kill runs").success());
        let asked = Instant::now();
        while asked.elapsed() < Duration::from_secs(60) {
            if let Some(status) = self.process.try_wait().expect("its status") {
                return status;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("the pair did not end within a minute");
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        // It has ended already unless the test failed.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn the_pair_starts_syncs_twice_and_stops() {
    let data = tempfile::tempdir().expect("a folder");
    let mut pair = Pair::start(data.path());
    assert!(pair.test_sync().success(), "the first run of test_sync.sh");
    assert!(pair.test_sync().success(), "the second run of test_sync.sh");
    assert!(pair.interrupt().success(), "it stops in order");
}

#[test]
fn a_taken_port_is_named_with_the_way_out() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("its address").port().to_string();
    let output = Command::new(env!("CARGO_BIN_EXE_demo")).args(["--port-a", &port, "--port-b", "0"]).output();
    let output = output.expect("the demo runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains(&port) && said.contains("--port-a"), "{said}");
}
