//! What `jsb health` is asked for every minute: it sees events that were delivered and no more, and reads nothing of what is
//! done.

use std::time::Duration;

use async_nats::jetstream::consumer::PullConsumer;
use async_nats::jetstream::{AckKind, Message};
use futures_util::StreamExt;
use jsb_tests::gate::gate;
use jsb_tests::probe::{self, Orders};
use jsb_tests::{App, Backend, Cli, Pair, eventually, until};
use uuid::Uuid;

use super::{PROGRAM, findings, health, pair};

/// Older than any event may be.
const AT_ONCE: [&str; 2] = ["--max-pending-age", "1ms"];

/// The next message for a consumer, in the hand of a process that does nothing with it.
async fn taken(durable: &PullConsumer) -> Message {
    eventually("a message comes", || async {
        let mut messages = durable.batch().max_messages(1).expires(Duration::from_millis(500)).messages().await?;
        messages.next().await.transpose()
    })
    .await
}

/// Has the server give up a message that is in hand, while others are.
async fn spend(mut message: Message, durable: &PullConsumer) {
    for _ in 1..5 {
        message.ack_with(AckKind::Nak(None)).await.expect("a refusal that is sent");
        message = taken(durable).await;
    }
    message.ack_with(AckKind::Nak(None)).await.expect("a refusal that is sent");
    eventually("the server has given it up", || async {
        let messages = durable.batch().max_messages(1).expires(Duration::from_millis(200)).messages().await?;
        let nothing_came = messages.count().await == 0;
        let info = durable.get_info().await?;
        Ok::<_, async_nats::Error>((nothing_came && info.num_ack_pending == 1).then_some(()))
    })
    .await;
}

on_both! {
    async fn an_event_that_hangs_is_not_healthy(backend: Backend) {
        let pair = pair(backend).await;
        let cli = Cli::of(PROGRAM, &pair.b);
        let orders = Orders { gate: Uuid::new_v4().to_string(), ..Orders::default() };
        let gate = gate(&orders.gate);
        let hanging = probe::send(&pair.a.db, "wait", orders).await;
        gate.until_reached().await;
        let (code, found) = health(&cli, &AT_ONCE).await;
        assert_eq!((code, findings(&found, "fault")), (4, vec!["consumer_age"]), "{found}");
        assert_eq!(health(&cli, &[]).await.0, 0, "it may take its time");
        gate.open();
        pair.b.event_is(&hanging.event_id, "processed").await;
        pair.b.until_idle().await;
        let (code, found) = health(&cli, &AT_ONCE).await;
        assert_eq!((code, findings(&found, "fault")), (0, vec![]), "{found}");
        pair.stop().await;
    }
}

/// Else an event that was given up, and that the inbox has settled since, would be a fault for as long as there is traffic.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_server_has_given_up_waits_no_more() {
    // What is in hand stays there.
    let hour = Duration::from_secs(3_600);
    let mut pair = Pair::configured(Backend::Sqlite, |config| config.backoff([hour; 5])).await;
    pair.start_both().await;
    pair.until_attached().await;
    pair.b.stop().await;
    for _ in 0..2 {
        probe::send(&pair.a.db, "record", Orders::default()).await;
    }
    let (cli, stream) = (Cli::of(PROGRAM, &pair.b), pair.b.stream().await);
    let durable = stream.durable(&pair.b.config.app_name).await;
    let (first, _) = (taken(&durable).await, taken(&durable).await);
    let status = cli.json(&["status"]).await;
    assert_eq!(status["consumer"]["lag"], 0, "{status}");
    // Before 2.14.3 it cannot be known that nothing was given up.
    let is_exact = stream.context.client().is_server_compatible(2, 14, 3);
    let oldest = if is_exact { &status["stream"]["first_at"] } else { &status["stream"]["last_at"] };
    assert_eq!(&status["oldest_unacknowledged"], oldest, "{status}");

    spend(first, &durable).await;
    let status = cli.json(&["status"]).await;
    assert_eq!(status["oldest_unacknowledged"], status["stream"]["last_at"], "{status}");
    assert_ne!(status["oldest_unacknowledged"], status["stream"]["first_at"], "{status}");
    let (code, found) = health(&cli, &AT_ONCE).await;
    assert_eq!((code, findings(&found, "fault")), (4, vec!["consumer_age"]), "{found}");
    pair.stop().await;
}

/// How many events are done: so many that PostgreSQL prefers an index.
const DONE: u32 = 5_000;

/// Fills outbox and inbox with events that are sent and processed, all at one time.
async fn fill(app: &App, backend: Backend, time: &str) {
    let numbers = match backend {
        Backend::Postgres => format!("SELECT n FROM generate_series(1, {DONE}) AS s(n)"),
        Backend::Sqlite => {
            format!("WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < {DONE}) SELECT n FROM s")
        }
    };
    let payload = "x".repeat(500);
    app.sql(&format!(
        "INSERT INTO outbox_events (event_id, resource_type, resource_id, event_type, payload, headers, occurred_at, status, \
         available_at, created_at, sent_at) \
         SELECT 'e-' || n, 'probe', 'e-' || n, 'record', '{payload}', '{{}}', '{time}', 'sent', '{time}', '{time}', '{time}' \
         FROM ({numbers}) AS numbers"
    ))
    .await;
    app.sql(&format!(
        "INSERT INTO inbox_events (source_app, event_id, resource_type, resource_id, event_type, subject, status, received_at, \
         processed_at) \
         SELECT 'a', 'e-' || n, 'probe', 'e-' || n, 'record', 'a.sync.b', 'processed', '{time}', '{time}' \
         FROM ({numbers}) AS numbers"
    ))
    .await;
}

/// No bridge has run here, so that there is no stream, and nobody else asks the database.
async fn tables_are_well(app: &App) {
    let (_, found) = health(&Cli::of(PROGRAM, app), &[]).await;
    assert_eq!(findings(&found, "ok"), ["outbox_age", "outbox_failed", "inbox_age"], "{found}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_finds_what_waits_by_its_indexes() {
    let pair = Pair::create(Backend::Postgres).await;
    fill(&pair.b, Backend::Postgres, "2026-01-01T00:00:00+00:00").await;
    for table in ["outbox_events", "inbox_events"] {
        pair.b.sql(&format!("VACUUM ANALYZE {table}")).await;
    }
    tables_are_well(&pair.b).await;
    let of_both = "FROM pg_stat_user_tables WHERE relname IN ('outbox_events', 'inbox_events')";
    until("PostgreSQL says that it used them", async || {
        let used = pair.b.texts(&format!("SELECT relname::text {of_both} AND idx_scan > 0")).await;
        used.len() == 2
    })
    .await;
    assert_eq!(pair.b.texts(&format!("SELECT sum(seq_tup_read)::text {of_both}")).await, ["0"], "rows read one by one");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_of_what_is_done_is_read() {
    let pair = Pair::create(Backend::Sqlite).await;
    fill(&pair.b, Backend::Sqlite, "no time at all").await;
    let cli = Cli::of(PROGRAM, &pair.b);
    let status = cli.run(&["status", "--json"]).await.json();
    assert_eq!(status["tables"]["is_fault"], true, "whoever reads it fails: {status}");
    tables_are_well(&pair.b).await;
    pair.b.sql("UPDATE outbox_events SET status = 'failed' WHERE event_id = 'e-7'").await;
    let (_, found) = health(&cli, &[]).await;
    assert!(findings(&found, "fault").contains(&"outbox_failed"), "{found}");
}
