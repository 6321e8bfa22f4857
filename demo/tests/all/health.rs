//! What a container's health check and an orchestrator's probes rely on.

use std::process::Output;

use dev_servers::{NatsOptions, NatsServer, Postgres, free_port};
use tokio::process::Child;

use crate::program::{demo, health_check, in_time, until};

/// A consumer of system A, which ends with its test.
struct Consumer {
    _process: Child,
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
        Self { _process: process, port }
    }

    async fn ask(&self, page: &str) -> Output {
        health_check(&format!("http://127.0.0.1:{}/{page}", self.port)).await
    }

    async fn until(&self, page: &str, is_well: bool) -> Output {
        until(page, || self.ask(page), |answer| answer.status.success() == is_well).await
    }
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
    let answer = consumer.ask("organizations").await;
    assert!(!answer.status.success() && said(&answer.stderr).contains("404"), "a consumer has no API: {answer:?}");

    postgres.stop().await.expect("PostgreSQL stops");
    let answer = consumer.until("health", false).await;
    assert!(said(&answer.stderr).contains("503"), "{answer:?}");
    assert!(consumer.ask("live").await.status.success(), "it lives without its database");

    postgres.restart().await.expect("PostgreSQL starts again");
    consumer.until("health", true).await;
}

#[tokio::test]
async fn nobody_there_is_not_healthy() {
    let url = format!("http://127.0.0.1:{}/health", free_port());
    let answer = health_check(&url).await;
    assert!(!answer.status.success() && said(&answer.stderr).contains(&url), "{answer:?}");
}

#[tokio::test]
async fn an_api_takes_no_second_port() {
    let mut demo = demo();
    demo.args(["system-a", "--role", "api", "--health-port", "1", "--database-url", "sqlite:///nowhere/at/all"]);
    let answer = in_time("the demo", demo.output()).await;
    assert!(!answer.status.success() && said(&answer.stderr).contains("HEALTH_PORT"), "{answer:?}");
}
