//! `jsb dlq purge`: letters are deleted, and nothing else.

use std::collections::BTreeMap;
use std::sync::Mutex;

use jsb_tests::probe::{self, Orders};
use jsb_tests::{Cli, Proxy};
use serde_json::json;

use super::{PROGRAM, broken, dlq, incoming, letters, mend, pair};

/// Deletes of letters, by the stream.
static DELETES: Mutex<BTreeMap<String, usize>> = Mutex::new(BTreeMap::new());

fn lose_after_two_per_stream(subject: &str) -> bool {
    let mut deletes = DELETES.lock().expect("no test panics here");
    let is_delete = subject.starts_with("$JS.API.STREAM.MSG.DELETE.");
    let so_far = deletes.entry(subject.to_owned()).or_default();
    *so_far += usize::from(is_delete);
    *so_far > 2
}

on_both! {
    async fn a_purge_that_fails_midway_says_how_far_it_came(backend: Backend) {
        let mut pair = pair(backend, |config| config).await;
        for _ in 0..3 {
            probe::send(&pair.a.db, "refuse", Orders::default()).await;
        }
        letters(&pair.b, 3).await;
        let proxy = Proxy::before_nats().await;
        proxy.lose(lose_after_two_per_stream);
        let purged = Cli::of(PROGRAM, &pair.b).set("NATS_URL", proxy.url());
        let purged = purged.run(&["dlq", "purge", "--all", "--yes", "--json"]).await;
        assert_eq!((purged.code, &purged.json()["purged"]), (1, &json!(2)), "{purged:?}");
        assert!(purged.stderr.contains("no answer to `$JS.API.STREAM.MSG.DELETE."), "{purged:?}");
        letters(&pair.b, 1).await;
        pair.a.stop().await;
        pair.b.stop().await;
    }

    async fn a_purge_leaves_everything_else(backend: Backend) {
        let pair = pair(backend, |config| config).await;
        let (cli, stream) = (Cli::of(PROGRAM, &pair.b), pair.b.stream().await);
        let mut sent = Vec::new();
        for count in 1..=5 {
            sent.push(broken(&pair).await);
            letters(&pair.b, count).await;
        }
        let others = format!("{}.sync.dlq", pair.a.config.app_name);
        stream.publish(&others, &[("x-dead-letter", "true")], "a letter of A").await;
        let left = || async {
            let letters = dlq(&pair.b).await;
            let ids = letters.iter().map(|letter| letter.context()["event_id"].as_str().expect("a text").to_owned());
            let elsewhere = (stream.messages(&incoming(&pair)).await.len(), stream.messages(&others).await.len());
            assert!(elsewhere.0 >= 5 && elsewhere.1 == 1, "a message that is no letter of B is gone: {elsewhere:?}");
            ids.collect::<Vec<_>>()
        };
        let ids: Vec<_> = sent.iter().map(|(event, _)| event.event_id.clone()).collect();

        let asked = cli.run(&["dlq", "purge", "--all"]).await;
        assert_eq!(asked.code, 5);
        assert!(asked.stderr.contains("Delete 5 letters of b-"), "{asked:?}");
        assert_eq!(left().await, ids);
        assert_eq!(cli.run(&["dlq", "purge"]).await.code, 2);

        let original = stream.messages(&incoming(&pair)).await[0].sequence;
        let partly = cli.run(&["dlq", "purge", "--yes", &ids[0], &original.to_string()]).await;
        assert_eq!(partly.code, 1);
        assert!(partly.stderr.contains(&format!("`{original}`")), "{partly:?}");
        assert_eq!(left().await, ids[1..]);

        // Retried from the inbox, as `inbox retry` does, so that its letter stays.
        mend(&sent[1].1);
        let retried = format!("UPDATE inbox_events SET status = 'parked', reason = 'retried', attempts = 0, starts = 0, \
                               available_at = '2026-01-01T00:00:00+00:00' WHERE event_id = '{}'", ids[1]);
        pair.b.sql(&retried).await;
        pair.b.event_is(&ids[1], "processed").await;
        assert_eq!(cli.json(&["dlq", "purge", "--settled", "--yes"]).await["purged"], 1);
        assert_eq!(left().await, ids[2..]);

        assert_eq!(cli.json(&["dlq", "purge", "--older-than", "1d", "--yes"]).await["purged"], 0);
        assert_eq!(left().await, ids[2..]);
        assert_eq!(cli.json(&["dlq", "purge", "--older-than", "0s", "--settled", "--yes"]).await["purged"], 0);
        assert_eq!(cli.json(&["dlq", "purge", "--older-than", "0s", "--yes"]).await["purged"], 3);
        assert_eq!(left().await, Vec::<String>::new());
        pair.stop().await;
    }
}
