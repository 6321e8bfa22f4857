//! `jsb dlq sweep`: what the server has given up is looked for.

use std::time::Duration;

use async_nats::jetstream::AckKind;
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::StreamExt;
use jsb_runtime::operate::{self, Connection};
use jsb_runtime::testing::skewed;
use jsb_tests::gate::gate;
use jsb_tests::probe::{self, Orders};
use jsb_tests::{Backend, Cli, DEADLINE, effects, eventually, inbox};
use sea_orm::ConnectionTrait;
use serde_json::json;
use tokio::sync::Notify;
use uuid::Uuid;

use super::{LARGE, PROGRAM, envelope, incoming, pair, publish};

on_both! {
    async fn a_sweep_has_no_more_in_hand_than_fits_in_memory(backend: Backend) {
        let mut pair = pair(backend, |config| config).await;
        for number in 0..12 {
            let payload = json!({"ballast": "x".repeat(LARGE)});
            publish(&pair, &[], &envelope(&pair, &format!("large-{number}"), "probe", "record", payload)).await;
        }
        pair.b.has_settled(12).await;
        pair.b.until_idle().await;
        pair.b.stop().await;
        pair.b.sql("DELETE FROM inbox_events").await;

        let connection = Connection::open(pair.b.config.clone()).await.expect("a connection");
        let ten = Notify::new();
        let sweep = connection.sweep(&pair.b.db, None, |behind, _| if behind == 10 { ten.notify_one() });
        tokio::select! {
            biased;
            swept = sweep => panic!("it was not cut off: {swept:?}"),
            () = ten.notified() => {}
        }
        assert_eq!(pair.b.count("inbox_events", "parked").await, 10, "what was looked at before is still in memory");
        connection.close().await;
        pair.stop().await;
    }

    async fn a_sweep_reads_only_what_came_since_then(backend: Backend) {
        let mut pair = pair(backend, |config| config).await;
        let (stream, connection) =
            (pair.b.stream().await, Connection::open(pair.b.config.clone()).await.expect("a connection"));
        let (mut sequences, mut since) = (Vec::new(), None);
        for number in 0..64 {
            let event = envelope(&pair, &format!("event-{number}"), "probe", "record", json!({}));
            sequences.push(stream.publish(&incoming(&pair), &[], event.to_string()).await);
            if number == 60 {
                since = connection.stream().await.expect("the stream's state").last_at;
            }
        }
        pair.b.has_settled(64).await;
        pair.b.until_idle().await;
        pair.b.stop().await;
        pair.b.sql("DELETE FROM inbox_events").await;
        for gap in [0, 1, 30, 31, 32, 59, 61] {
            stream.delete(sequences[gap]).await;
        }

        let listener = async_nats::connect(pair.b.config.nats_url.as_str()).await.expect("a connection");
        let reads = format!("$JS.API.STREAM.MSG.GET.{}", pair.b.config.stream_name);
        let heard = listener.subscribe(reads.clone()).await.expect("a subscription");
        listener.flush().await.expect("a subscription that the server has");
        let swept = connection.sweep(&pair.b.db, since, |_, _| {}).await.expect("a sweep");
        assert_eq!((swept.looked_at, swept.found), (3, 3), "those of them that are left");
        let mut found = pair.b.texts("SELECT event_id FROM inbox_events WHERE status = 'parked'").await;
        found.sort();
        assert_eq!(found, ["event-60", "event-62", "event-63"]);
        // The last of them, by which all that came before are heard.
        listener.publish(reads, "end".into()).await.expect("a message");
        let reads = heard.take_while(|message| std::future::ready(&message.payload[..] != b"end")).count().await;
        assert!(reads < 12, "{reads} messages were read");
        connection.close().await;
        pair.stop().await;
    }

    async fn a_sweep_leaves_what_the_inbox_has_forgotten(backend: Backend) {
        let mut pair = pair(backend, |config| config).await;
        let event = probe::send(&pair.a.db, "record", Orders::default()).await;
        pair.b.event_is(&event.event_id, "processed").await;
        pair.b.until_idle().await;
        pair.b.stop().await;
        assert_eq!(operate::inbox::prune(&pair.b.db, Utc::now(), |_| {}).await, Ok(1));
        let forgetful = pair.b.config.clone().inbox_retention(Duration::ZERO);
        let connection = Connection::open(forgetful).await.expect("a connection");
        for since in [None, Some(DateTime::UNIX_EPOCH)] {
            let swept = connection.sweep(&pair.b.db, since, |_, _| {}).await.expect("a sweep");
            assert_eq!((swept.looked_at, swept.found), (0, 0), "since {since:?}");
        }
        connection.close().await;
        pair.stop().await;
    }

    async fn a_sweep_finds_what_the_server_has_given_up_while_a_consumer_runs(backend: Backend) {
        let mut pair = pair(backend, |config| config).await;
        let cli = Cli::of(PROGRAM, &pair.b);
        pair.b.stop().await;
        let event = probe::send(&pair.a.db, "record", Orders::default()).await;
        let stream = pair.b.stream().await;
        let durable = stream.durable(&pair.b.config.app_name).await;
        eventually("all deliveries are spent", || async {
            let messages = durable.batch().max_messages(10).expires(Duration::from_millis(200)).messages().await?;
            messages.for_each(|_| async {}).await;
            let progress = stream.progress(&pair.b.config.app_name).await;
            let spent = progress.delivered.stream_sequence > 0 && progress.num_pending + progress.num_ack_pending as u64 == 0;
            Ok::<_, async_nats::error::Error<_>>(spent.then_some(()))
        })
        .await;
        // As a bridge leaves it that has looked, and whose database was restored from before that.
        pair.b.db.execute_unprepared("UPDATE sync_settings SET swept_seq = 1").await.expect("the settings");
        pair.b.start().await;
        let other = probe::send(&pair.a.db, "record", Orders::default()).await;
        pair.b.event_is(&other.event_id, "processed").await;
        assert!(inbox::find(&pair.b.db, &event.event_id).await.expect("the inbox").is_none(), "it was found without a sweep");

        pair.b.until_idle().await;
        assert_eq!(cli.json(&["dlq", "sweep", "--since", "2100-01-01T00:00:00Z"]).await["found"], 0);
        let swept = cli.json(&["dlq", "sweep"]).await;
        assert_eq!(swept["found"], 1, "{swept}");
        pair.b.event_is(&event.event_id, "processed").await;
        assert_eq!(effects::count(&pair.b.db, &event.id).await, Ok(1));
        assert_eq!(cli.json(&["dlq", "sweep"]).await["found"], 0);
        assert_eq!(effects::count(&pair.b.db, &other.id).await, Ok(1));

        let slow = Orders { gate: Uuid::new_v4().to_string(), ..Orders::default() };
        let gate = gate(&slow.gate);
        let slow = probe::send(&pair.a.db, "wait", slow).await;
        gate.until_reached().await;
        let swept = cli.json(&["dlq", "sweep"]).await;
        assert_eq!((&swept["in_hand"], &swept["found"]), (&json!(1), &json!(0)), "what is being handled was given up");
        gate.open();
        pair.b.event_is(&slow.event_id, "processed").await;
        assert_eq!(gate.arrivals(), 1);
        pair.stop().await;
    }

    async fn a_sweep_beside_a_busy_consumer_finds_what_came_long_ago(backend: Backend) {
        // The server brings nothing again meanwhile but what is given back.
        let mut pair = pair(backend, |config| config.backoff([Duration::from_secs(60); 5])).await;
        pair.b.stop().await;
        let stream = pair.b.stream().await;
        let durable = stream.durable(&pair.b.config.app_name).await;
        let one = || durable.batch().max_messages(1).expires(Duration::from_millis(200)).messages();

        let in_hand = probe::send(&pair.a.db, "record", Orders::default()).await;
        let held = eventually("another process has it in hand", || async { one().await?.next().await.transpose() }).await;
        let lost = probe::send(&pair.a.db, "record", Orders::default()).await;
        eventually("its deliveries are spent", || async {
            if let Some(message) = one().await?.next().await {
                message?.ack_with(AckKind::Nak(None)).await?;
            }
            let progress = stream.progress(&pair.b.config.app_name).await;
            let spent = progress.delivered.stream_sequence == 2 && progress.num_ack_pending == 1;
            Ok::<_, async_nats::Error>(spent.then_some(()))
        })
        .await;

        let connection = Connection::open(pair.b.config.clone()).await.expect("a connection");
        let sweep = || connection.sweep(&pair.b.db, None, |_, _| {});
        let swept = sweep().await.expect("a sweep");
        assert_eq!((swept.in_hand, swept.found), (1, 0), "what came a moment ago may be in hand");
        let swept = skewed(TimeDelta::minutes(11), sweep()).await.expect("a sweep");
        assert_eq!((swept.in_hand, swept.looked_at, swept.found), (1, 2, 2));
        connection.close().await;

        pair.b.start().await;
        pair.b.event_is(&lost.event_id, "processed").await;
        pair.b.event_is(&in_hand.event_id, "processed").await;
        // By now it is settled for whoever had it in hand.
        held.ack_with(AckKind::Nak(None)).await.expect("a message that is given back");
        pair.b.until_idle().await;
        for event in [lost, in_hand] {
            assert_eq!(effects::count(&pair.b.db, &event.id).await, Ok(1));
        }
        pair.stop().await;
    }
}

/// On SQLite a handler has the only lock for writing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sweep_does_not_wait_for_a_handler_that_hangs() {
    let pair = pair(Backend::Postgres, |config| config).await;
    let slow = Orders { gate: Uuid::new_v4().to_string(), ..Orders::default() };
    let gate = gate(&slow.gate);
    let slow = probe::send(&pair.a.db, "wait", slow).await;
    gate.until_reached().await;
    let connection = Connection::open(pair.b.config.clone()).await.expect("a connection");
    let sweep = skewed(TimeDelta::minutes(11), connection.sweep(&pair.b.db, None, |_, _| {}));
    let swept = tokio::time::timeout(DEADLINE, sweep).await.expect("an end").expect("a sweep");
    assert_eq!((swept.in_hand, swept.looked_at, swept.found), (1, 1, 0));
    connection.close().await;
    gate.open();
    pair.b.event_is(&slow.event_id, "processed").await;
    assert_eq!(gate.arrivals(), 1);
    pair.stop().await;
}
