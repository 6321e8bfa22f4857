//! The place up to which all is settled, here and at the server.

use std::time::Duration;

use futures_util::StreamExt;
use jsb_tests::probe::{self, Orders};
use jsb_tests::{eventually, until};
use sea_orm::ConnectionTrait;

use super::{configured, pair, processed, spend};

on_both! {
    async fn a_stream_that_is_made_anew_is_swept_from_its_beginning(backend: Backend) {
        let mut pair = pair(backend, true).await;
        let stream = pair.b.stream().await;
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
            let (stream, app) = (pair.b.stream().await, pair.b.config.app_name.clone());
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
}
