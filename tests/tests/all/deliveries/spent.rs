//! What the server brings no more is found by its app.

use std::time::Duration;

use chrono::{TimeDelta, Utc};
use futures_util::StreamExt;
use jsb_runtime::operate;
use jsb_tests::gate::gate;
use jsb_tests::probe::{self, Orders};
use jsb_tests::{Backend, Pair, effects, eventually, inbox};
use sea_orm::{ConnectionTrait, DbErr};

use super::{pair, processed, spend};

on_both! {
    async fn what_crashes_spent_is_found_at_the_next_start(backend: Backend) {
        let mut pair = pair(backend, true).await;
        let stream = pair.b.stream().await;
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
        spend(&pair.b.stream().await, &pair.b).await;
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
        let stream = pair.b.stream().await;
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
        let stream = pair.b.stream().await;
        stream.purge().await;
        let overdue = "UPDATE inbox_events SET available_at = '2026-01-01T00:00:00+00:00'";
        pair.b.db.execute_unprepared(overdue).await.expect("time passes");
        processed(&pair.b, &shaky).await;
        pair.stop().await;
    }
}
