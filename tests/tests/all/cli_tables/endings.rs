//! `jsb inbox discard` and `prune`: events come to an end.

use chrono::{TimeDelta, Utc};
use jsb_runtime::operate;
use jsb_runtime::testing::skewed;
use jsb_tests::Pair;
use jsb_tests::probe::{self, Orders};
use serde_json::json;

use super::{DECLINED, LONG_AGO, UNHEALTHY, cli};

on_both! {
    async fn what_is_dead_is_discarded(backend: Backend) {
        let mut pair = Pair::configured(backend, |config| config.use_dlq(false)).await;
        pair.start_both().await;
        let dead = probe::send(&pair.a.db, "refuse", Orders::default()).await.event_id;
        let applied = probe::send(&pair.a.db, "record", Orders::default()).await.event_id;
        pair.b.has_settled(2).await;
        let cli = cli(&pair.b).set("USE_DLQ", "false");
        assert_eq!(cli.run(&["health"]).await.code, UNHEALTHY);
        let discarded = cli.run(&["inbox", "discard", &dead, &applied, "--yes", "--json"]).await;
        assert_eq!((discarded.code, &discarded.json()["discarded"]), (1, &json!(1)), "{discarded:?}");
        assert!(discarded.stderr.contains(&format!("{applied}: it is processed")), "{discarded:?}");
        assert_eq!((pair.b.count("inbox_events", "dead").await, pair.b.count("inbox_events", "processed").await), (0, 2));
        assert_eq!(cli.run(&["health"]).await.code, 0);
        assert_eq!(cli.json(&["inbox", "list", "--reason", "discarded"]).await[0]["event_id"], dead);
        assert_eq!(cli.json(&["dlq", "sweep"]).await["found"], 0, "it would be tried again");
        pair.stop().await;
    }

    async fn only_what_is_settled_and_old_is_pruned_from_the_inbox(backend: Backend) {
        let mut pair = Pair::start(backend).await;
        for _ in 0..3 {
            probe::send(&pair.a.db, "record", Orders::default()).await;
        }
        pair.quiet().await;
        pair.b.stop().await;
        let ids = pair.b.texts("SELECT event_id FROM inbox_events ORDER BY event_id").await;
        pair.b.sql(&format!("UPDATE inbox_events SET processed_at = {LONG_AGO} WHERE event_id <> '{}'", ids[2])).await;
        pair.b.sql(&format!("UPDATE inbox_events SET status = 'parked' WHERE event_id = '{}'", ids[1])).await;
        let cli = cli(&pair.b);
        let refused = cli.run(&["inbox", "prune", "--older-than", "7d", "--yes"]).await;
        assert!(refused.code == 1 && refused.stderr.contains("INBOX_RETENTION"), "{refused:?}");
        let declined = cli.run(&["inbox", "prune", "--older-than", "7d", "--force"]).await;
        assert!(declined.code == DECLINED && declined.stderr.contains("1 event "), "{declined:?}");
        assert_eq!(pair.b.texts("SELECT event_id FROM inbox_events").await.len(), 3);
        assert_eq!(cli.json(&["inbox", "prune", "--older-than", "45d", "--yes"]).await["pruned"], 1);
        let left = pair.b.texts("SELECT event_id FROM inbox_events ORDER BY event_id").await;
        assert_eq!(left, ids[1..]);
        pair.stop().await;
    }

    async fn a_clock_that_is_ahead_prunes_nothing_that_is_young(backend: Backend) {
        let mut pair = Pair::start(backend).await;
        for _ in 0..2 {
            probe::send(&pair.a.db, "record", Orders::default()).await;
        }
        pair.quiet().await;
        pair.a.stop().await;
        pair.b.stop().await;
        pair.a.sql(&format!("UPDATE outbox_events SET sent_at = {LONG_AGO} WHERE id = (SELECT MIN(id) FROM outbox_events)")).await;
        pair.b.sql(&format!("UPDATE inbox_events SET processed_at = {LONG_AGO} WHERE event_id = (SELECT MIN(event_id) FROM inbox_events)")).await;
        // What the wrong clock takes for a week ago.
        let ahead = TimeDelta::days(60);
        let before = Utc::now() + ahead - TimeDelta::days(7);
        let (a, b) = (&pair.a.db, &pair.b.db);
        skewed(ahead, async {
            assert_eq!(operate::outbox::sent_before(a, before).await, Ok(1));
            assert_eq!(operate::outbox::prune(a, before, |_| {}).await, Ok(1));
            assert_eq!(operate::inbox::settled_before(b, before).await, Ok(1));
            assert_eq!(operate::inbox::prune(b, before, |_| {}).await, Ok(1));
        })
        .await;
        assert_eq!((pair.a.count("outbox_events", "sent").await, pair.b.count("inbox_events", "processed").await), (1, 1));
    }
}
