//! What a container's health check and an orchestrator's probes rely on.

use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use dev_servers::{NatsOptions, NatsServer, Postgres, free_port};

const WITHIN: Duration = Duration::from_secs(60);

/// A consumer of system A, which does not outlive its test.
struct Consumer {
    process: Child,
    port: u16,
}

impl Consumer {
    fn start(database: &str, nats: &str) -> Self {
        let port = free_port();
        let process = demo()
            .args(["system-a", "--role", "consumer", "--health-port", &port.to_string()])
            .args(["--database-url", database, "--nats-url", nats])
            .spawn()
            .expect("the consumer starts");
        Self { process, port }
    }

    fn ask(&self, page: &str) -> Output {
        ask(&format!("http://127.0.0.1:{}/{page}", self.port))
    }

    async fn until(&self, page: &str, wanted: bool) -> Output {
        let asked = Instant::now();
        loop {
            let answer = self.ask(page);
            if answer.status.success() == wanted {
                return answer;
            }
            assert!(asked.elapsed() < WITHIN, "/{page} still says {answer:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        // An error means that it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn demo() -> Command {
    let mut demo = Command::new(env!("CARGO_BIN_EXE_demo"));
    for variable in ["ROLE", "PORT", "HEALTH_PORT", "BIND", "DATABASE_URL", "NATS_URL"] {
        demo.env_remove(variable);
    }
    demo.stdin(Stdio::null());
    demo
}

fn ask(url: &str) -> Output {
    demo().args(["health", "--url", url]).output().expect("the health check runs")
}

fn said(output: &[u8]) -> String {
    String::from_utf8_lossy(output).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_is_healthy_while_it_reaches_its_database_and_lives_on_without() {
    let nats = NatsServer::start(NatsOptions::default()).await.expect("nats-server");
    let mut postgres = Postgres::start_own().await.expect("PostgreSQL");
    let database = postgres.create_database("system_a").await.expect("a database");
    let consumer = Consumer::start(&database, &nats.url());

    let answer = consumer.until("health", true).await;
    assert!(said(&answer.stdout).contains(r#""status":"ok""#), "{answer:?}");
    let answer = consumer.ask("organizations");
    assert!(!answer.status.success() && said(&answer.stderr).contains("404"), "a consumer has no API: {answer:?}");

    postgres.stop().await.expect("PostgreSQL stops");
    let answer = consumer.until("health", false).await;
    assert!(said(&answer.stderr).contains("503"), "{answer:?}");
    assert!(consumer.ask("live").status.success(), "it lives without its database");

    postgres.restart().await.expect("PostgreSQL starts again");
    consumer.until("health", true).await;
}

#[test]
fn nobody_there_is_not_healthy() {
    let url = format!("http://127.0.0.1:{}/health", free_port());
    let answer = ask(&url);
    assert!(!answer.status.success() && said(&answer.stderr).contains(&url), "{answer:?}");
}

#[test]
fn an_api_takes_no_second_port() {
    let answer = demo()
        .args(["system-a", "--role", "api", "--health-port", "1", "--database-url", "sqlite:///nowhere/at/all"])
        .output()
        .expect("it runs");
    assert!(!answer.status.success() && said(&answer.stderr).contains("HEALTH_PORT"), "{answer:?}");
}
