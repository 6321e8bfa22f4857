//! Deliveries that are not the message's fault: spent by crashes, held by a slow handler, counted by a stream that is
//! no more.

use std::time::{Duration, Instant};

use async_nats::Subscriber;
use async_nats::jetstream::consumer::{FromConsumer, pull};
use chrono::{TimeDelta, Utc};
use futures_util::StreamExt;
use jsb_runtime::{Config, operate};
use jsb_tests::entities::tally;
use jsb_tests::gate::gate;
use jsb_tests::probe::{self, Orders, Probe};
use jsb_tests::{App, Backend, DEADLINE, Pair, Stream, effects, eventually, inbox, until};
use sea_orm::{ConnectionTrait, DbErr};
use serde_json::Value as Json;

/// In milliseconds; short, so that five deliveries take few seconds.
const BACKOFF: [u64; 5] = [500, 100, 100, 100, 100];
/// So long that on a slow machine too a batch comes in time.
const PATIENT: [Duration; 5] = [Duration::from_secs(30); 5];

pub(crate) async fn pair(backend: Backend, use_inbox: bool) -> Pair {
    configured(backend, |config| config.use_inbox(use_inbox)).await
}

/// A pair whose B has run once, so that its durable is there, and it has looked for what was given up before: no process
/// pulls before it has.
async fn configured(backend: Backend, change: impl Fn(Config) -> Config) -> Pair {
    let config = |config: Config| change(config.backoff(BACKOFF.map(Duration::from_millis)));
    let mut pair = Pair::configured(backend, config).await;
    pair.start_both().await;
    until("B has looked", async || {
        let looked = pair.b.texts("SELECT app_name FROM sync_settings WHERE swept_seq IS NOT NULL").await;
        !looked.is_empty()
    })
    .await;
    pair.b.stop().await;
    pair
}

async fn tallies(app: &App, rows: i64) {
    for value in 0..rows {
        tally::new(value).insert(&app.db).await.expect("a save");
    }
}

/// Hears what the consumer of `app` asks the server for.
async fn requests_of(app: &App) -> Subscriber {
    let (stream, config) = (Stream::of(&app.config).await, &app.config);
    let subject = format!("$JS.API.CONSUMER.MSG.NEXT.{}.{}-workers", config.stream_name, config.app_name);
    let requests = stream.context.client().subscribe(subject).await.expect("a subscription");
    // What is asked behind it is answered once the server has the subscription.
    stream.stream().await;
    requests
}

/// What is asked for, up to the request that waits for the next message, since no other one is there.
async fn asked(mut requests: Subscriber) -> Vec<Json> {
    let mut asked: Vec<Json> = Vec::new();
    while asked.last().is_none_or(|request| request["expires"].is_null()) {
        let request = tokio::time::timeout(DEADLINE, requests.next()).await.expect("a request in time");
        asked.push(serde_json::from_slice(&request.expect("a request").payload).expect("what is asked for"));
    }
    asked
}

/// Its server lets a request wait for which it may not deliver enough.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_is_asked_for_than_may_wait_for_its_acknowledgement() {
    for most in [20, 1] {
        let mut pair = Pair::configured(Backend::Postgres, |config| config.max_ack_pending(most)).await;
        pair.start_both().await;
        pair.b.stop().await;
        tallies(&pair.a, 300).await;
        pair.b.start().await;
        let began = Instant::now();
        pair.quiet().await;
        assert!(began.elapsed() < Duration::from_secs(60), "with {most} it took {:?}", began.elapsed());
        let progress = Stream::of(&pair.b.config).await.progress(&pair.b.config.app_name).await;
        assert_eq!(progress.delivered.consumer_sequence, 300, "each once");
        pair.stop().await;
    }
}

/// What the server's own limits of requests come to, or an operator sets: it refuses a request that asks for more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_is_asked_for_than_the_consumer_allows() {
    let mut pair = configured(Backend::Postgres, |config| config.backoff(PATIENT)).await;
    let (stream, app) = (Stream::of(&pair.b.config).await, pair.b.config.app_name.clone());
    let durable = stream.durable(&app).await;
    let limits = |config: &pull::Config| (config.max_batch, config.max_bytes, config.max_expires);
    let limited = pull::Config {
        max_batch: 70,
        max_bytes: 100_000,
        max_expires: Duration::from_secs(1),
        ..pull::Config::try_from_consumer_config(durable.cached_info().config.clone()).expect("a pull consumer")
    };
    let expected = limits(&limited);
    stream.stream().await.update_consumer(limited).await.expect("the limits");
    tallies(&pair.a, 300).await;
    pair.a.has_sent(300).await;
    let requests = requests_of(&pair.b).await;
    pair.b.start().await;
    let asked = asked(requests).await;
    let most = |what: &str| asked.iter().filter_map(|request| request[what].as_u64()).max();
    let most = ["batch", "max_bytes", "expires"].map(most);
    assert_eq!(most, [Some(70), Some(100_000), Some(1_000_000_000)], "{asked:?}");
    pair.quiet().await;
    let found = stream.durable(&app).await.cached_info().config.clone();
    assert_eq!((found.max_batch, found.max_bytes, found.max_expires), expected, "they stand");
    assert_eq!(pair.b.status().await.problems, [""; 0]);
    pair.stop().await;
}

/// Another process may have nothing to do meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn less_is_asked_for_behind_a_batch_that_took_long() {
    let mut pair = configured(Backend::Postgres, |config| config.backoff(PATIENT)).await;
    tallies(&pair.a, 200).await;
    pair.a.has_sent(200).await;
    pair.b.linger("tallies", 6).await;
    let requests = requests_of(&pair.b).await;
    pair.b.start().await;
    let asked = asked(requests).await;
    let numbers: Vec<_> = asked.iter().filter_map(|request| request["batch"].as_u64()).take(3).collect();
    // The second one is asked for while the first batch, which takes so long, is worked on.
    assert_eq!(numbers, [64, 128, 64], "{asked:?}");
    pair.quiet().await;
    pair.stop().await;
}

/// Takes every message that waits for `app`, as a process does that crashes each time, until the server gives them up.
pub(crate) async fn spend(stream: &Stream, app: &App) {
    let durable = stream.durable(&app.config.app_name).await;
    eventually("all deliveries are spent", || async {
        let messages = durable.batch().max_messages(100).expires(Duration::from_millis(200)).messages().await?;
        messages.for_each(|_| async {}).await;
        let progress = stream.progress(&app.config.app_name).await;
        Ok::<_, async_nats::error::Error<_>>((progress.num_pending == 0 && progress.num_ack_pending == 0).then_some(()))
    })
    .await;
}

pub(crate) async fn processed(app: &App, probe: &Probe) {
    app.event_is(&probe.event_id, "processed").await;
    assert_eq!(effects::count(&app.db, &probe.id).await, Ok(1));
}

on_both! {
    async fn what_crashes_spent_is_found_at_the_next_start(backend: Backend) {
        let mut pair = pair(backend, true).await;
        let stream = Stream::of(&pair.b.config).await;
        let good = probe::send(&pair.a.db, "record", Orders::default()).await;
        let orders = Orders { failures: 2, error: "not yet".to_owned(), ..Orders::default() };
        let shaky = probe::send(&pair.a.db, "fail", orders).await;
        let bad = probe::send(&pair.a.db, "fail", Orders { failures: u32::MAX, ..Orders::default() }).await;
        pair.a.has_sent(3).await;
        spend(&stream, &pair.b).await;
        pair.b.start().await;
        processed(&pair.b, &good).await;
        processed(&pair.b, &shaky).await;
        let row = pair.b.event_is(&bad.event_id, "dead").await;
        assert_eq!((row.attempts, row.reason.as_deref()), (5, Some("max_attempts")));
        let letter = stream.dead_letter(&pair.b.config.app_name, &bad.event_id).await;
        assert!(letter.is_some());
        pair.stop().await;
    }

    async fn what_was_given_up_is_finished_before_a_stop(backend: Backend) {
        let mut pair = pair(backend, true).await;
        let slow = Orders { gate: uuid::Uuid::new_v4().to_string(), ..Orders::default() };
        let gate = gate(&slow.gate);
        let slow = probe::send(&pair.a.db, "wait", slow).await;
        pair.a.has_sent(1).await;
        spend(&Stream::of(&pair.b.config).await, &pair.b).await;
        pair.b.start().await;
        gate.until_reached().await;
        // Asked to stop, and only then let go.
        tokio::join!(pair.b.stop(), async { gate.open() });
        processed(&pair.b, &slow).await;
        pair.stop().await;
    }

    async fn what_is_given_up_meanwhile_is_processed(backend: Backend) {
        let mut pair = pair(backend, true).await;
        pair.b.start().await;
        let stream = Stream::of(&pair.b.config).await;
        let slow = Orders { gate: uuid::Uuid::new_v4().to_string(), ..Orders::default() };
        let gate = gate(&slow.gate);
        let slow = probe::send(&pair.a.db, "wait", slow).await;
        gate.until_reached().await;
        let good = probe::send(&pair.a.db, "record", Orders::default()).await;
        pair.a.has_sent(2).await;
        // Another process takes it and crashes, again and again. The server gives it up when it is asked once more.
        let durable = stream.durable(&pair.b.config.app_name).await;
        eventually("its deliveries are spent", || async {
            let messages = durable.batch().max_messages(1).expires(Duration::from_millis(500)).messages().await?;
            let nothing_came = messages.count().await == 0;
            let only_the_slow_one = stream.progress(&pair.b.config.app_name).await.num_ack_pending == 1;
            Ok::<_, async_nats::error::Error<_>>((nothing_came && only_the_slow_one).then_some(()))
        })
        .await;
        if backend == Backend::Postgres {
            processed(&pair.b, &good).await;
            assert_eq!(effects::count(&pair.b.db, &slow.id).await, Ok(0));
        }
        gate.open();
        processed(&pair.b, &good).await;
        processed(&pair.b, &slow).await;
        pair.stop().await;
    }

    async fn without_an_inbox_what_was_spent_is_applied_or_dead(backend: Backend) {
        let mut pair = pair(backend, false).await;
        let stream = Stream::of(&pair.b.config).await;
        let good = probe::send(&pair.a.db, "record", Orders::default()).await;
        let bad = probe::send(&pair.a.db, "fail", Orders { failures: u32::MAX, ..Orders::default() }).await;
        pair.a.has_sent(2).await;
        spend(&stream, &pair.b).await;
        pair.b.start().await;
        pair.b.has_effect(&good.id).await;
        eventually("the bad one is in the DLQ", || async {
            Ok::<_, DbErr>(stream.dead_letter(&pair.b.config.app_name, &bad.event_id).await)
        })
        .await;
        pair.stop().await;
    }

    async fn without_an_inbox_a_sweep_that_has_to_wait_runs_no_handler_of_what_comes_meanwhile(backend: Backend) {
        let mut pair = pair(backend, false).await;
        let (stream, app) = (Stream::of(&pair.b.config).await, pair.b.config.app_name.clone());
        // From now on the server cannot say that it has given up nothing.
        let spent = probe::send(&pair.a.db, "record", Orders::default()).await;
        pair.a.has_sent(1).await;
        spend(&stream, &pair.b).await;
        // What another process has in hand is the server's to bring again in an hour.
        pair.b.config = pair.b.config.clone().backoff([Duration::from_secs(3_600); 5]);
        pair.b.start().await;
        pair.b.has_effect(&spent.id).await;
        pair.b.stop().await;

        let held = probe::send(&pair.a.db, "record", Orders::default()).await;
        pair.a.has_sent(2).await;
        let durable = stream.durable(&app).await;
        let mut messages =
            durable.batch().max_messages(1).expires(Duration::from_secs(5)).messages().await.expect("a pull");
        let delivery = messages.next().await.expect("a delivery").expect("a message");
        pair.b.sql("UPDATE sync_settings SET swept_seq = NULL").await;
        pair.b.start().await;
        let mut probes = Vec::new();
        for _ in 0..3 {
            let probe = probe::send(&pair.a.db, "record", Orders::default()).await;
            // It has looked before it pulled.
            pair.b.has_effect(&probe.id).await;
            probes.push(probe);
        }
        // Whoever acknowledges it in B's name has not applied it.
        delivery.double_ack().await.expect("an acknowledgement");
        until("what was delivered before it looked is swept", async || {
            let swept = pair.b.texts("SELECT app_name FROM sync_settings WHERE swept_seq >= 2").await;
            !swept.is_empty()
        })
        .await;
        for probe in probes.iter().chain([&spent, &held]) {
            assert_eq!(effects::count(&pair.b.db, &probe.id).await, Ok(1));
        }
        pair.stop().await;
    }

    async fn a_failed_event_that_the_server_lost_is_tried_from_the_inbox(backend: Backend) {
        // The server would bring it again in an hour.
        let hour = Duration::from_secs(3_600);
        let mut pair = Pair::configured(backend, |config| config.backoff([hour; 5])).await;
        pair.start_both().await;
        let shaky = probe::send(&pair.a.db, "fail", Orders { failures: 1, ..Orders::default() }).await;
        eventually("it failed once", || async {
            let row = inbox::with_status(&pair.b.db, &shaky.event_id, "failed").await?;
            Ok::<_, DbErr>(row.filter(|row| row.attempts == 1))
        })
        .await;
        let (db, config, source) = (&pair.b.db, &pair.b.config, &pair.a.config.app_name);
        let shown = operate::inbox::show(db, config, source, &shaky.event_id).await.expect("the inbox");
        let due_in = shown.expect("its row").event.available_at.expect("a time at which it is due here") - Utc::now();
        // The server has its hour, and then a while.
        assert!((TimeDelta::hours(1)..TimeDelta::hours(2)).contains(&due_in), "{due_in}");
        let stream = Stream::of(&pair.b.config).await;
        stream.purge().await;
        let overdue = "UPDATE inbox_events SET available_at = '2026-01-01T00:00:00+00:00'";
        pair.b.db.execute_unprepared(overdue).await.expect("time passes");
        processed(&pair.b, &shaky).await;
        pair.stop().await;
    }

    async fn a_stream_that_is_made_anew_is_swept_from_its_beginning(backend: Backend) {
        let mut pair = pair(backend, true).await;
        let stream = Stream::of(&pair.b.config).await;
        // As a former stream has left it, which was lost after its third message.
        pair.b.db.execute_unprepared("UPDATE sync_settings SET swept_seq = 3").await.expect("the settings");
        pair.b.start().await;
        pair.b.until_attached().await;
        let first = probe::send(&pair.a.db, "record", Orders::default()).await;
        processed(&pair.b, &first).await;
        pair.b.stop().await;
        let mut probes = Vec::new();
        for _ in 0..4 {
            probes.push(probe::send(&pair.a.db, "record", Orders::default()).await);
        }
        pair.a.has_sent(5).await;
        spend(&stream, &pair.b).await;
        pair.b.start().await;
        for probe in &probes {
            processed(&pair.b, probe).await;
        }
        pair.stop().await;
    }

    async fn the_place_up_to_which_all_is_settled_is_stored(backend: Backend) {
        let mut pair = pair(backend, true).await;
        pair.b.start().await;
        for _ in 0..3 {
            let probe = probe::send(&pair.a.db, "record", Orders::default()).await;
            processed(&pair.b, &probe).await;
        }
        let swept = async || pair.b.texts("SELECT CAST(swept_seq AS text) FROM sync_settings").await.remove(0);
        until("the place is stored", async || swept().await == "3").await;
        pair.stop().await;
    }

    async fn what_was_given_up_is_found_although_the_server_s_floor_has_passed_it(backend: Backend) {
        // A consumer that delivers each only once counts none of them as delivered again.
        for max_deliver in [5, 1] {
            let mut pair = configured(backend, |config| config.max_deliver(max_deliver)).await;
            let (stream, app) = (Stream::of(&pair.b.config).await, pair.b.config.app_name.clone());
            let lost = probe::send(&pair.a.db, "record", Orders::default()).await;
            pair.a.has_sent(1).await;
            spend(&stream, &pair.b).await;
            let next = probe::send(&pair.a.db, "record", Orders::default()).await;
            pair.a.has_sent(2).await;
            let durable = stream.durable(&app).await;
            eventually("the floor is above both", || async {
                let batch = durable.batch().max_messages(1).expires(Duration::from_millis(500));
                if let Some(message) = batch.messages().await?.next().await {
                    message?.double_ack().await?;
                }
                Ok::<_, async_nats::Error>((stream.progress(&app).await.ack_floor.stream_sequence >= 2).then_some(()))
            })
            .await;
            pair.b.start().await;
            processed(&pair.b, &lost).await;
            // Whoever acknowledged it in B's name has not applied it.
            processed(&pair.b, &next).await;
            pair.stop().await;
        }
    }

    async fn nobody_else_gets_what_a_slow_handler_works_on(backend: Backend) {
        let mut pair = pair(backend, true).await;
        pair.b.start().await;
        pair.b.start().await;
        let slow = Orders { gate: uuid::Uuid::new_v4().to_string(), ..Orders::default() };
        let gate = gate(&slow.gate);
        let slow = probe::send(&pair.a.db, "wait", slow).await;
        gate.until_reached().await;
        let (began, stream) = (Instant::now(), Stream::of(&pair.b.config).await);
        until("many times the ack wait have passed", async || {
            let progress = stream.progress(&pair.b.config.app_name).await;
            assert_eq!((progress.num_redelivered, progress.num_ack_pending), (0, 1), "the server gave it to somebody else");
            began.elapsed() > Duration::from_secs(2)
        })
        .await;
        gate.open();
        processed(&pair.b, &slow).await;
        assert_eq!((gate.arrivals(), probe::attempts(&slow).len()), (1, 1));
        pair.stop().await;
    }
}

/// On SQLite a handler has the only lock for writing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_consumer_does_not_wait_for_what_the_first_one_works_on() {
    let mut pair = pair(Backend::Postgres, true).await;
    pair.b.start().await;
    let slow = Orders { gate: uuid::Uuid::new_v4().to_string(), ..Orders::default() };
    let gate = gate(&slow.gate);
    let slow = probe::send(&pair.a.db, "wait", slow).await;
    gate.until_reached().await;
    pair.b.start().await;
    let other = probe::send(&pair.a.db, "record", Orders::default()).await;
    processed(&pair.b, &other).await;
    gate.open();
    processed(&pair.b, &slow).await;
    assert_eq!(gate.arrivals(), 1);
    pair.stop().await;
}
