//! Saves while the bridge runs, by clocks that are ahead too.

use std::time::Duration;

use jsb_runtime::Role;
use jsb_runtime::testing::skewed;
use jsb_tests::entities::tally;
use jsb_tests::{Pair, until};
use sea_orm::ActiveValue::Set;
use sea_orm::IntoActiveModel;

use super::{counts, time_to_send};

on_both! {
    async fn a_version_a_year_ahead_stops_saves(backend: Backend) {
        let app = Pair::create(backend).await.a;
        let ahead = skewed(chrono::TimeDelta::days(500), tally::new(1).insert(&app.db)).await;
        let ahead = ahead.expect("a save by a wrong clock");
        let mut change = ahead.into_active_model();
        change.value = Set(2);
        let refused = change.update(&app.db).await.expect_err("a version that far ahead").to_string();
        assert!(refused.contains("more than a year ahead"), "{refused}");
        assert_eq!(counts(&app).await, (1, 1));
    }

    async fn a_start_that_fails_changes_nothing_for_those_who_run(backend: Backend) {
        let mut app = Pair::create(backend).await.a;
        app.start().await;
        let wrong = app.config.clone().use_outbox(false).auto_provision(false).stream_name("nowhere");
        jsb_runtime::start(wrong, app.db.clone()).await.expect_err("no consumer there");
        tally::new(1).insert(&app.db).await.expect("a save");
        assert_eq!(counts(&app).await, (1, 1));
        app.stop().await;
    }

    async fn a_clock_that_is_ahead_makes_nothing_old(backend: Backend) {
        let mut pair = Pair::start(backend).await;
        tally::new(1).insert(&pair.a.db).await.expect("a save");
        pair.quiet().await;
        pair.a.stop().await;
        pair.b.stop().await;
        let years = chrono::TimeDelta::days(700);
        for app in [&mut pair.a, &mut pair.b] {
            app.sql("DELETE FROM sync_leases").await;
            skewed(years, app.start()).await;
            until("it looks for what is old", async || {
                let lease = app.texts("SELECT name FROM sync_leases WHERE name = 'retention'").await;
                !lease.is_empty()
            })
            .await;
            // It ends what it has begun.
            app.stop().await;
        }
        assert_eq!(pair.a.texts("SELECT status FROM outbox_events").await, ["sent"]);
        assert_eq!(pair.b.texts("SELECT status FROM inbox_events").await, ["processed"]);
    }

    async fn a_save_wakes_the_relay(backend: Backend) {
        let mut app = Pair::configured(backend, |config| config.roles([Role::Relay])).await.a;
        app.start().await;
        let save = async |value| drop(tally::new(value).insert(&app.db).await.expect("a save"));
        let wait = time_to_send(&app, save).await;
        assert!(wait < Duration::from_secs(1), "{wait:?}");
        app.stop().await;
    }
}
