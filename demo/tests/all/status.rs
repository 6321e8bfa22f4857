//! What `/sync_status` answers, and what the README says that it does.

use std::collections::BTreeSet;

use dev_servers::{NatsOptions, NatsServer, free_port};
use serde_json::{Map, Value as Json};

use crate::program::{demo, health_check, until};

/// The fields that the README names.
fn documented() -> BTreeSet<&'static str> {
    let row = include_str!("../../README.md").lines().find(|line| line.starts_with("| `GET /sync_status` |"));
    let (_, meaning) = row.expect("a row of the table").split_once(" | ").expect("another cell");
    // What is in parentheses says what a field holds.
    let outside = meaning.split('(').map(|part| part.split_once(')').map_or(part, |(_, behind)| behind));
    outside.flat_map(|part| part.split('`').skip(1).step_by(2)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sync_status_has_the_fields_that_are_documented_and_no_others() {
    let folder = tempfile::tempdir().expect("a folder");
    let nats = NatsServer::start(NatsOptions::default()).await.expect("nats-server");
    let (port, database) = (free_port(), format!("sqlite://{}/a.sqlite?mode=rwc", folder.path().display()));
    let _system = demo()
        .args(["system-a", "--port", &port.to_string(), "--database-url", &database, "--nats-url", &nats.url()])
        .spawn()
        .expect("the system starts");
    let url = format!("http://127.0.0.1:{port}/sync_status");
    let answer = until("/sync_status", || health_check(&url), |answer| answer.status.success()).await;
    let answer: Map<String, Json> = serde_json::from_slice(&answer.stdout).expect("an object");
    assert_eq!(answer.keys().map(String::as_str).collect::<BTreeSet<_>>(), documented());
}
