//! The pair as a newcomer starts it: one command, and the script that tries everything, twice.

use std::io::{BufRead, BufReader, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How long anything may take on a slow machine.
const DEADLINE: Duration = Duration::from_secs(300);

/// The pair, which does not outlive its test.
struct Pair {
    process: Child,
    urls: Vec<String>,
}

impl Pair {
    /// Starts the pair on free ports and waits until it says where it is. `said` gets what it says before that.
    fn start(data: &Path, options: &[&str], said: &mut Vec<String>) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_demo"))
            .args(["pair", "--port-a", "0", "--port-b", "0", "--nats-port", "0", "--data"])
            .arg(data)
            .args(options)
            .env_remove("NATS_URL")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the demo starts");
        let banner = BufReader::new(process.stdout.take().expect("its output"));
        let (sender, lines) = std::sync::mpsc::channel();
        // Its output is read to the end, as a terminal does.
        std::thread::spawn(move || {
            banner.lines().map_while(Result::ok).for_each(|line| {
                // Nobody listens any more once both systems are known.
                let _ = sender.send(line);
            });
        });
        let mut urls = Vec::new();
        while urls.len() < 2 || !said.iter().any(|line| line.trim_start().starts_with("NATS")) {
            let line = lines.recv_timeout(DEADLINE).expect("the banner names both systems and NATS");
            match line.trim_start().strip_prefix("system ") {
                Some(system) => urls.extend(system.split_whitespace().last().map(str::to_owned)),
                None => said.push(line),
            }
        }
        Self { process, urls }
    }

    fn test_sync(&self) -> ExitStatus {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/test_sync.sh");
        let mut script = Command::new("bash").arg(script).args(&self.urls).spawn().expect("the script runs");
        end_of(&mut script, "the script")
    }

    /// Asks the pair to end, as Ctrl-C does, and waits for it.
    fn interrupt(&mut self) -> ExitStatus {
        let asked = Command::new("kill").args(["-INT", &self.process.id().to_string()]).status();
        assert!(asked.expect("kill runs").success());
        end_of(&mut self.process, "the pair")
    }
}

/// Waits for the end of a process, and ends one itself that does not come to it.
fn end_of(process: &mut Child, name: &str) -> ExitStatus {
    let began = Instant::now();
    while began.elapsed() < DEADLINE {
        if let Some(status) = process.try_wait().expect("its status") {
            return status;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let _ = process.kill();
    panic!("{name} did not end within {DEADLINE:?}");
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
    let mut pair = Pair::start(data.path(), &[], &mut Vec::new());
    assert!(pair.test_sync().success(), "the first run of test_sync.sh");
    assert!(pair.test_sync().success(), "the second run of test_sync.sh");
    assert!(pair.interrupt().success(), "it stops in order");
}

/// Whether the nats-server of the banner lets nobody in who has no password.
fn refuses_strangers(said: &[String]) -> bool {
    let port = said.iter().find_map(|line| line.split_once("nats://127.0.0.1:")?.1.split(',').next()?.parse().ok());
    let mut stranger = TcpStream::connect(("127.0.0.1", port.expect("the banner names the server"))).expect("a server");
    stranger.set_read_timeout(Some(DEADLINE)).expect("a deadline");
    stranger.write_all(b"CONNECT {}\r\nPING\r\n").expect("it listens");
    let answers = BufReader::new(stranger).lines().map_while(Result::ok);
    answers.take_while(|line| line != "PONG").any(|line| line.contains("Authorization Violation"))
}

#[test]
fn the_restrictive_pair_is_provisioned_first_and_syncs() {
    let (data, mut said) = (tempfile::tempdir().expect("a folder"), Vec::new());
    let mut pair = Pair::start(data.path(), &["--restrictive"], &mut said);
    let steps = [
        "✓ Connected to NATS JetStream",
        "✓ Stream provisioned: sync-stream",
        "✓ Provisioning completed successfully!",
        "The pair is running.",
    ];
    let place = |step: &str| said.iter().position(|line| line == step).unwrap_or_else(|| panic!("{step}: {said:#?}"));
    assert!(steps.map(place).is_sorted(), "{said:#?}");
    assert!(pair.test_sync().success(), "test_sync.sh");
    assert!(refuses_strangers(&said), "everybody may connect");
    assert!(pair.interrupt().success(), "it stops in order");
}

/// A locked-down server and what its users are told, as an operator would set them up.
async fn locked_down(secrets: &Path) -> (dev_servers::NatsServer, impl Fn(&str) -> String + use<>) {
    let config = jsb_runtime::Config::new("system_a", "system_b");
    let wanted = jsb_runtime::topology::Wanted::pairs(&config, [("system_a", "system_b")]).expect("a pair");
    let secrets = jsb_cli::Secrets::open(secrets).expect("a folder of secrets");
    let users = jsb_cli::users_with_passwords(&wanted, &secrets).expect("users");
    let options = dev_servers::NatsOptions { config: users, ..Default::default() };
    let server = dev_servers::NatsServer::start(options).await.expect("nats-server starts");
    let port = server.port();
    let url =
        move |user: &str| format!("nats://{user}:{}@127.0.0.1:{port}", secrets.password(user).expect("a password"));
    (server, url)
}

#[tokio::test]
async fn an_app_that_starts_before_the_provisioner_says_so_waits_and_goes_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_server, url) = locked_down(&folder.path().join("secrets")).await;
    let demo = |command: &str| {
        let mut demo = tokio::process::Command::new(env!("CARGO_BIN_EXE_demo"));
        demo.arg(command).kill_on_drop(true).stdin(Stdio::null());
        demo
    };
    let database = format!("sqlite://{}", folder.path().join("a.sqlite").display());
    let mut system = demo("system-a")
        .args(["--port", "0", "--database-url", &database, "--nats-url", &url("system_a")])
        .env("AUTO_PROVISION", "false")
        .stderr(Stdio::piped())
        .spawn()
        .expect("system A starts");
    let said = tokio::io::BufReader::new(system.stderr.take().expect("its output"));
    let mut said = tokio::io::AsyncBufReadExt::lines(said);
    let mut until = async |words: &str| {
        while let Some(line) = said.next_line().await.expect("a line") {
            if line.contains(words) {
                return line;
            }
        }
        panic!("system A ended before it said {words:?}");
    };
    let waits = tokio::time::timeout(DEADLINE, until("waiting for the provisioner")).await.expect("it waits");
    assert!(waits.contains("jsb provision") && waits.contains("system_a-workers"), "{waits}");

    let provisioned = demo("provision").args(["--nats-url", &url("admin")]).status();
    let provisioned = tokio::time::timeout(DEADLINE, provisioned).await.expect("the provisioner ends");
    assert!(provisioned.expect("the provisioner runs").success());
    tokio::time::timeout(DEADLINE, until("attached to JetStream")).await.expect("it goes on");
}

#[test]
fn a_taken_port_is_named_with_the_way_out() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("its address").port().to_string();
    let mut demo = Command::new(env!("CARGO_BIN_EXE_demo"));
    demo.args(["--port-a", &port, "--port-b", "0"]).stdin(Stdio::null()).stderr(Stdio::piped());
    let mut demo = demo.spawn().expect("the demo runs");
    assert!(!end_of(&mut demo, "the demo").success());
    let said = std::io::read_to_string(demo.stderr.take().expect("its errors")).expect("text");
    assert!(said.contains(&port) && said.contains("--port-a"), "{said}");
}
