//! `jsb dlq`: dead events are listed, brought once more, looked for and deleted, while the pair runs.

mod copies;
mod deaths;
mod interrupted;
mod listed;
mod purge;
mod replay;
mod sweep;

use std::time::Duration;

use jsb_runtime::Config;
use jsb_tests::gate::gate;
use jsb_tests::probe::{self, Orders, Probe};
use jsb_tests::stream::StreamMessage;
use jsb_tests::{App, Backend, Pair, Remote, eventually, inbox};
use sea_orm::DbErr;
use serde_json::Value as Json;
use uuid::Uuid;

const PROGRAM: &str = env!("CARGO_BIN_EXE_cli");

/// In milliseconds; the first is the server's ack wait too.
const BACKOFF: [u64; 5] = [1_000, 100, 100, 100, 100];

/// In bytes: nine of these fit in a batch, which ends with the next one.
const LARGE: usize = 900_000;

async fn pair(backend: Backend, change: impl Fn(Config) -> Config) -> Pair {
    let mut pair = Pair::configured(backend, |config| change(config.backoff(BACKOFF.map(Duration::from_millis)))).await;
    pair.start_both().await;
    pair.until_attached().await;
    pair
}

/// An event of A whose handler on B fails for good until what is broken is mended.
async fn broken(pair: &Pair) -> (Probe, Orders) {
    let orders = Orders { gate: Uuid::new_v4().to_string(), ..Orders::default() };
    (probe::send(&pair.a.db, "broken", orders.clone()).await, orders)
}

fn mend(orders: &Orders) {
    gate(&orders.gate).open();
}

async fn dlq(app: &App) -> Vec<StreamMessage> {
    app.stream().await.messages(&format!("{}.sync.dlq", app.config.app_name)).await
}

/// Waits until B's DLQ has so many letters and their events are dead in the inbox.
async fn letters(b: &App, count: usize) -> Vec<StreamMessage> {
    let stream = b.stream().await;
    eventually(&format!("{count} letters"), || async {
        let letters = stream.messages(&format!("{}.sync.dlq", b.config.app_name)).await;
        for letter in &letters {
            let event_id = letter.context()["event_id"].as_str().unwrap_or_default().to_owned();
            if inbox::find(&b.db, &event_id).await?.is_some_and(|row| row.status == "failed") {
                return Ok(None);
            }
        }
        Ok::<_, DbErr>((letters.len() == count).then_some(letters))
    })
    .await
}

fn incoming(pair: &Pair) -> String {
    format!("{}.sync.{}", pair.a.config.app_name, pair.b.config.app_name)
}

async fn publish(pair: &Pair, headers: &[(&str, &str)], body: &Json) -> u64 {
    pair.b.stream().await.publish(&incoming(pair), headers, body.to_string()).await
}

fn envelope(pair: &Pair, event_id: &str, resource: &str, event_type: &str, payload: Json) -> Json {
    let mut event = Remote::event_with_id(event_id, resource, event_type, "1", payload);
    event["producer"] = pair.a.config.app_name.as_str().into();
    event
}

/// What was skipped or failed, and why.
fn why<'a>(summary: &'a Json, kind: &str) -> &'a str {
    summary[kind][0]["why"].as_str().unwrap_or_else(|| panic!("nothing {kind}: {summary}"))
}
