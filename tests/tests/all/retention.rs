//! What was sent, and what was processed, is kept for as long as it is configured to be.

use std::time::Duration;

use chrono::Utc;
use jsb_runtime::Role;
use jsb_tests::entities::tally;
use jsb_tests::{Pair, eventually};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// More than two batches.
const MANY: u32 = 2_500;

on_both! {
    async fn what_is_older_than_its_retention_goes_and_what_is_younger_stays(backend: Backend) {
        let mut pair = Pair::start(backend).await;
        for value in 1..=2 {
            tally::new(value).insert(&pair.a.db).await.expect("a save");
        }
        pair.quiet().await;
        let recorded = pair.a.recorded().await;
        let [old, young] = [0, 1].map(|place| recorded[place]["event_id"].as_str().expect("an event id"));
        pair.a.stop().await;
        pair.b.stop().await;

        let (of_outbox, of_inbox) = (pair.a.config.outbox_retention, pair.b.config.inbox_retention);
        assert!(of_outbox + 2 * DAY < of_inbox, "one would pass for the other");
        let kept = [
            (&mut pair.a, "outbox_events", "sent_at", of_outbox),
            (&mut pair.b, "inbox_events", "processed_at", of_inbox),
        ];
        for (app, table, ended_at, retention) in kept {
            for (event_id, age) in [(old, retention + DAY), (young, retention - DAY)] {
                let ended = (Utc::now() - age).to_rfc3339();
                app.sql(&format!("UPDATE {table} SET {ended_at} = '{ended}' WHERE event_id = '{event_id}'")).await;
            }
            // Alone, since a consumer that looks for what was given up may take note of an event anew.
            app.config.roles = [Role::Relay].into();
            app.start().await;
            let left = eventually("what is old has gone", || async {
                let left = app.texts(&format!("SELECT event_id FROM {table}")).await;
                Ok::<_, ()>((!left.iter().any(|event_id| event_id == old)).then_some(left))
            })
            .await;
            assert_eq!(left, [young]);
            app.stop().await;
        }
    }

    async fn all_that_is_old_goes_at_once(backend: Backend) {
        let mut app = Pair::configured(backend, |config| config.roles([Role::Relay])).await.a;
        let sent_at = (Utc::now() - app.config.outbox_retention - DAY).to_rfc3339();
        let row = |number: u32| {
            format!(
                "('{number}', 'probe', '{number}', 'record', '{{}}', '{{}}', 'sent', \
                 '{sent_at}', '{sent_at}', '{sent_at}', '{sent_at}')"
            )
        };
        let rows: Vec<_> = (0..MANY).map(row).collect();
        app.sql(&format!(
            "INSERT INTO outbox_events (event_id, resource_type, resource_id, event_type, payload, headers, status, \
             occurred_at, available_at, created_at, sent_at) VALUES {}",
            rows.join(", ")
        ))
        .await;
        app.start().await;
        app.has_events("outbox_events", "sent", 0).await;
        app.stop().await;
    }
}
