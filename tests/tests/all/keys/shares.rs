//! Each side draws keys of its own share, and says so where it does not.

use jsb_tests::entities::organization;
use jsb_tests::{App, Pair, Remote, eventually};
use sea_orm::ActiveValue::{Set, Unchanged};
use sea_orm::{DbErr, TransactionTrait};
use serde_json::{Value as Json, json};

use super::{created, interleave_anew, next_drawn};
use crate::problems::problem_of;

/// What an event says, said by this app, and as another event.
fn said_by(app: &App, mut event: Json) -> Json {
    event["event_id"] = json!(uuid::Uuid::now_v7());
    event["producer"] = json!(app.config.app_name);
    event
}

/// Has an application take these events of the other one.
async fn tell(app: &App, events: &[Json]) {
    let known = app.status().await.inbox_events;
    Remote::of(app).await.publish_all(events).await;
    app.has_settled(known + events.len() as u64).await;
}

on_both! {
    async fn a_row_is_not_saved_before_its_keys_are_interleaved(backend: Backend) {
        let mut app = Pair::create(backend).await.a;
        // Before the first start nothing is saved in one statement.
        for is_started in [false, true] {
            if is_started {
                interleave_anew(&app, 2).await;
                app.start().await;
            }
            app.sql("DELETE FROM sync_keys WHERE table_name = 'organizations'").await;
            let row = || organization::new("early.example");
            let on_pool = row().insert(&app.db).await;
            let silent = jsb_runtime::skip_publish(row().insert(&app.db)).await;
            let txn = app.db.begin().await.expect("a transaction");
            let within = row().insert(&txn).await;
            txn.commit().await.expect("a commit");
            for saved in [on_pool, silent, within] {
                let refused = saved.expect_err("a key that the other side draws too").to_string();
                assert!(refused.contains("were never set up"), "{refused}");
            }
            assert_eq!(app.texts("SELECT domain FROM organizations").await, [""; 0]);
        }
        app.stop().await;
    }

    async fn both_sides_say_that_they_draw_the_same_keys(backend: Backend) {
        // The events come one by one, and together.
        for rows in [1, 10] {
            let mut pair = Pair::configured(backend, |config| config.node(1, 2)).await;
            for (app, name) in [(&pair.a, "a"), (&pair.b, "b")] {
                for number in 0..rows {
                    organization::new(format!("{name}-{number}.example")).insert(&app.db).await.expect("a save");
                }
            }
            pair.a.start().await;
            pair.a.has_sent(rows).await;
            pair.b.start().await;
            for (app, other) in [(&pair.a, &pair.b), (&pair.b, &pair.a)] {
                let problem = eventually("it is noticed", || async { Ok::<_, DbErr>(problem_of(app, "keys").await) }).await;
                assert!(problem.contains(&other.config.app_name) && problem.contains("NODE_INDEX"), "{problem}");
            }
            assert_eq!(pair.agree::<organization::Entity>().await.len() as i64, rows);
            pair.stop().await;
        }
    }

    async fn keys_that_only_one_side_has_drawn_are_no_problem(backend: Backend) {
        let mut pair = Pair::create(backend).await;
        let known = |id: i64| organization::ActiveModel { id: Set(id), ..organization::new(format!("{id}.example")) };
        // As node 1 of 3, A drew a key that by now is of B's share.
        interleave_anew(&pair.a, 3).await;
        assert_eq!([next_drawn(&pair.a).await, next_drawn(&pair.a).await], [1, 4]);
        known(4).delete(&pair.a.db).await.expect("a delete");
        interleave_anew(&pair.a, 2).await;
        pair.start_both().await;
        pair.quiet().await;
        // Keys that were deleted, by either side, are used once more; a row of A's is changed.
        known(2).insert(&pair.b.db).await.expect("a save");
        known(2).delete(&pair.b.db).await.expect("a delete");
        for id in [2, 4] {
            known(id).insert(&pair.b.db).await.expect("a key of its own");
        }
        let change = organization::ActiveModel { id: Unchanged(1), name: Set("Changed".to_owned()), ..Default::default() };
        change.update(&pair.b.db).await.expect("a save");
        pair.quiet().await;
        let published_again = pair.b.recorded().await.into_iter().map(|event| said_by(&pair.b, event));
        tell(&pair.a, &published_again.collect::<Vec<_>>()).await;
        // A row that is older than the shares: it is changed here, and its event comes once more.
        tell(&pair.a, &[created(7, "2026-01-01T00:00:00Z")]).await;
        let change = organization::ActiveModel { id: Unchanged(7), name: Set("Changed".to_owned()), ..Default::default() };
        change.update(&pair.a.db).await.expect("a save");
        tell(&pair.a, &[created(7, "2026-01-02T00:00:00Z")]).await;
        // An echo.
        next_drawn(&pair.a).await;
        let newest = pair.a.recorded().await.pop().expect("an event");
        tell(&pair.a, &[said_by(&pair.b, newest)]).await;
        for app in [&pair.a, &pair.b] {
            assert_eq!(problem_of(app, "keys").await, None);
        }
        pair.stop().await;
    }
}
