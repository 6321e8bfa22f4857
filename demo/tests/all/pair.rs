//! The pair as a newcomer starts it: one command, and the script that tries everything, twice.

use std::io::{self, BufRead as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{ExitStatus, Stdio};

use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout};

use crate::program::{ENDS_WITHIN, demo, in_time, program, test_sync};

/// The pair, which ends with its test.
struct Pair {
    process: Child,
    /// Kept open, as a terminal is.
    _output: Lines<BufReader<ChildStdout>>,
    urls: Vec<String>,
}

impl Pair {
    /// Starts the pair on free ports and waits until it says where it is. `said` gets what it says before that.
    async fn start(data: &Path, options: &[&str], said: &mut Vec<String>) -> Self {
        let mut process = demo()
            .args(["pair", "--port-a", "0", "--port-b", "0", "--nats-port", "0", "--data"])
            .arg(data)
            .args(options)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the demo starts");
        let mut lines = BufReader::new(process.stdout.take().expect("its output")).lines();
        let mut urls = Vec::new();
        while urls.len() < 2 || !said.iter().any(|line| line.trim_start().starts_with("NATS")) {
            let line = in_time("the banner", lines.next_line()).await;
            let line = line.expect("the banner names both systems and NATS");
            match line.trim_start().strip_prefix("system ") {
                Some(system) => urls.extend(system.split_whitespace().last().map(str::to_owned)),
                None => said.push(line),
            }
        }
        Self { process, _output: lines, urls }
    }

    /// Asks the pair to end, as Ctrl-C does, and waits for it.
    async fn interrupt(mut self) -> ExitStatus {
        let pid = self.process.id().expect("it runs").to_string();
        assert!(in_time("kill", program("kill").args(["-INT", &pid]).status()).await.success());
        in_time("the pair", self.process.wait()).await
    }
}

#[tokio::test]
async fn the_pair_starts_syncs_twice_and_stops() {
    let data = tempfile::tempdir().expect("a folder");
    let pair = Pair::start(data.path(), &[], &mut Vec::new()).await;
    assert!(test_sync(&pair.urls).await, "the first run of test_sync.sh");
    assert!(test_sync(&pair.urls).await, "the second run of test_sync.sh");
    assert!(pair.interrupt().await.success(), "it stops in order");
}

/// Whether the nats-server of the banner lets nobody in who has no password.
fn refuses_strangers(said: &[String]) -> bool {
    let port = said.iter().find_map(|line| line.split_once("nats://127.0.0.1:")?.1.split(',').next()?.parse().ok());
    let mut stranger = TcpStream::connect(("127.0.0.1", port.expect("the banner names the server"))).expect("a server");
    stranger.set_read_timeout(Some(ENDS_WITHIN)).expect("a deadline");
    stranger.write_all(b"CONNECT {}\r\nPING\r\n").expect("it listens");
    let answers = io::BufReader::new(stranger).lines().map_while(Result::ok);
    answers.take_while(|line| line != "PONG").any(|line| line.contains("Authorization Violation"))
}

#[tokio::test]
async fn the_restrictive_pair_is_provisioned_first_and_syncs() {
    let (data, mut said) = (tempfile::tempdir().expect("a folder"), Vec::new());
    let pair = Pair::start(data.path(), &["--restrictive"], &mut said).await;
    let steps = [
        "✓ Connected to NATS JetStream",
        "✓ Stream provisioned: sync-stream",
        "✓ Provisioning completed successfully!",
        "The pair is running.",
    ];
    let place = |step: &str| said.iter().position(|line| line == step).unwrap_or_else(|| panic!("{step}: {said:#?}"));
    assert!(steps.map(place).is_sorted(), "{said:#?}");
    assert!(test_sync(&pair.urls).await, "test_sync.sh");
    assert!(refuses_strangers(&said), "everybody may connect");
    assert!(pair.interrupt().await.success(), "it stops in order");
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
    let database = format!("sqlite://{}", folder.path().join("a.sqlite").display());
    let mut system = demo()
        .args(["system-a", "--port", "0", "--database-url", &database, "--nats-url", &url("system_a")])
        .env("AUTO_PROVISION", "false")
        .stderr(Stdio::piped())
        .spawn()
        .expect("system A starts");
    let mut said = BufReader::new(system.stderr.take().expect("its output")).lines();
    let mut until = async |words: &str| {
        let line = async {
            while let Some(line) = said.next_line().await? {
                if line.contains(words) {
                    return Ok(line);
                }
            }
            panic!("system A ended before it said {words:?}");
        };
        in_time(words, line).await
    };
    let waits = until("waiting for the provisioner").await;
    assert!(waits.contains("jsb provision") && waits.contains("system_a-workers"), "{waits}");

    let provisioned = demo().args(["provision", "--nats-url", &url("admin")]).status();
    assert!(in_time("the provisioner", provisioned).await.success());
    until("attached to JetStream").await;
}

#[tokio::test]
async fn a_taken_port_is_named_with_the_way_out() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("its address").port().to_string();
    let demo = demo().args(["--port-a", &port, "--port-b", "0"]).output();
    let ended = in_time("the demo", demo).await;
    assert!(!ended.status.success());
    let said = String::from_utf8(ended.stderr).expect("text");
    assert!(said.contains(&port) && said.contains("--port-a"), "{said}");
}
