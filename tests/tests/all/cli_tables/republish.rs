//! `jsb outbox republish`: what was sent is sent again.

use std::collections::BTreeSet;
use std::time::Duration;

use dev_servers::{NatsOptions, NatsServer};
use jsb_tests::{App, Pair, until};
use sea_orm::EntityTrait;

use super::{DECLINED, LONG_AGO, cli, numbers, organization, renumber, ticket};

async fn newest_is_sent(app: &App) {
    until("the newest event is sent", async || {
        let newest = app.texts("SELECT status FROM outbox_events ORDER BY id DESC LIMIT 1").await;
        newest == ["sent"]
    })
    .await;
}

on_both! {
    async fn what_a_server_lost_is_published_again(backend: Backend) {
        let store = tempfile::tempdir().expect("a folder");
        let mut nats = NatsServer::start(NatsOptions { store_dir: Some(store.path().join("js")), ..Default::default() }).await.expect("a server");
        let url = nats.url();
        let mut pair = Pair::configured(backend, |config| config.nats_url(url.as_str())).await;
        pair.start_both().await;
        let known = organization(&pair.a, "known.example", "known").await;
        pair.b.has(&known).await;
        pair.b.stop().await;
        let lost = [organization(&pair.a, "lost.example", "lost").await, organization(&pair.a, "gone.example", "gone").await];
        pair.a.has_sent(3).await;
        pair.a.sql(&format!("UPDATE outbox_events SET sent_at = {LONG_AGO} WHERE resource_id = '{}'", lost[1].id)).await;
        nats.kill().await;
        std::fs::remove_dir_all(store.path().join("js")).expect("the store is lost");
        nats.restart().await.expect("a server");

        let cli = cli(&pair.a);
        let republish = ["outbox", "republish", "--since", "1h"];
        let declined = cli.run(&republish).await;
        assert!(declined.code == DECLINED && declined.stderr.contains("2 events"), "{declined:?}");
        assert_eq!(pair.a.count("outbox_events", "sent").await, 3);
        let future = cli.json(&["outbox", "republish", "--since", "2100-01-01T00:00:00Z"]).await;
        assert_eq!(future["republished"], 0);
        assert_eq!(cli.json(&[&republish[..], &["--yes"]].concat()).await["republished"], 2);
        pair.b.start().await;
        pair.b.has(&lost[0]).await;
        assert_eq!(organization::Entity::find_by_id(lost[1].id).one(&pair.b.db).await, Ok(None), "it was sent before");
        let earlier = ["outbox", "republish", "--since", "2025-12-31T00:00:00Z", "--yes"];
        assert_eq!(cli.json(&earlier).await["republished"], 3);
        pair.b.has(&lost[1]).await;
        pair.b.has_settled(3).await;
        assert_eq!(pair.b.count("inbox_events", "processed").await, 3, "what was known is a duplicate");
        pair.stop().await;
    }

    async fn what_the_other_side_has_lost_is_published_again_however_soon(backend: Backend) {
        let mut pair = Pair::create(backend).await;
        pair.start_both().await;
        let row = organization(&pair.a, "lost.example", "lost").await;
        pair.b.has(&row).await;
        pair.a.has_sent(1).await;
        // Twice within the server's duplicate window.
        for _ in 0..2 {
            pair.b.sql("DELETE FROM organizations").await;
            pair.b.sql("DELETE FROM inbox_events").await;
            let republished = cli(&pair.a).json(&["outbox", "republish", "--since", "1h", "--yes"]).await;
            assert_eq!(republished["republished"], 1);
            pair.b.has(&row).await;
            pair.a.has_sent(1).await;
        }
        pair.stop().await;
    }

    async fn what_is_published_again_is_not_overtaken(backend: Backend) {
        let pair = Pair::start(backend).await;
        let id = ticket::saved(&pair.a.db).await;
        renumber(&pair.a, id, 1..5).await;
        pair.quiet().await;
        let stream = pair.a.stream().await;
        stream.context.delete_stream(&pair.a.config.stream_name).await.expect("the stream is lost");
        renumber(&pair.a, id, [5]).await;
        newest_is_sent(&pair.a).await;
        let cli = cli(&pair.a);
        let republish = tokio::spawn(async move { cli.json(&["outbox", "republish", "--since", "1h", "--yes"]).await });
        let mut next = 6;
        loop {
            assert!(!republish.is_finished(), "the relay does not stand still while events are made pending");
            renumber(&pair.a, id, [next]).await;
            next += 1;
            if tokio::time::timeout(Duration::from_secs(2), newest_is_sent(&pair.a)).await.is_err() {
                break;
            }
        }
        renumber(&pair.a, id, [next, next + 1]).await;
        assert!(republish.await.expect("a command")["republished"].as_i64() >= Some(6));
        pair.quiet().await;
        let numbers = numbers(&pair).await;
        let again = numbers.iter().position(|number| *number == 0).expect("the first one");
        assert!(numbers[again..].is_sorted(), "{numbers:?}");
        assert_eq!(BTreeSet::from_iter(numbers), BTreeSet::from_iter(0..=next + 1));
        pair.stop().await;
    }
}
