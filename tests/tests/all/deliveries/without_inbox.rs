//! What was spent, where no inbox says what was applied.

use std::time::Duration;

use futures_util::StreamExt;
use jsb_tests::probe::{self, Orders};
use jsb_tests::{effects, eventually, until};
use sea_orm::DbErr;

use super::{pair, spend};

on_both! {
    async fn without_an_inbox_what_was_spent_is_applied_or_dead(backend: Backend) {
        let mut pair = pair(backend, false).await;
        let stream = pair.b.stream().await;
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
        let (stream, app) = (pair.b.stream().await, pair.b.config.app_name.clone());
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
}
