//! Parents and children: what lacks its parent waits, and no child is lost with a parent that was deleted elsewhere.

use std::time::Duration;

use chrono::TimeDelta;
use jsb_runtime::testing::skewed;
use jsb_runtime::{Envelope, StartError};
use jsb_tests::entities::{organization, user};
use jsb_tests::{App, Backend, Pair, Remote, eventually, until};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use sea_orm::ActiveValue::{Set, Unchanged};
use sea_orm::{DbErr, EntityTrait, IntoActiveModel, TransactionTrait};

pub(crate) async fn organization(app: &App) -> organization::Model {
    organization::new("acme.example").insert(&app.db).await.expect("an organization")
}

async fn user(app: &App, organization_id: i64, name: &str) -> user::Model {
    let row =
        user::ActiveModel { organization_id: Set(organization_id), name: Set(name.to_owned()), ..Default::default() };
    row.insert(&app.db).await.expect("a user")
}

/// Waits until something is parked for this reason.
async fn parks(app: &App, reason: &str) {
    until("an event is parked", async || {
        let reasons = app.texts("SELECT reason FROM inbox_events WHERE status = 'parked'").await;
        reasons.iter().any(|found| found == reason)
    })
    .await;
}

/// Changes one side at random. What the database refuses, since a row has gone or has children, is part of the game.
async fn stir(app: &App, seed: u64, offset: TimeDelta) {
    let mut random = StdRng::seed_from_u64(seed);
    for turn in 0..80 {
        let organizations = organization::Entity::find().all(&app.db).await.expect("the organizations");
        let users = user::Entity::find().all(&app.db).await.expect("the users");
        let [one, another] = [0, 0].map(|_| organizations.choose(&mut random).map(|row| row.id));
        let user = users.choose(&mut random).cloned();
        let name = Set(format!("{seed}-{turn}"));
        let change = async {
            match (random.random_range(0..10), one, another, user) {
                (0..2, ..) | (_, None, ..) => {
                    let domain = format!("{seed}-{turn}.example");
                    let row = organization::ActiveModel { name, ..organization::new(domain) };
                    row.insert(&app.db).await.map(drop)
                }
                (2..4, Some(id), ..) => organization::ActiveModel { id: Unchanged(id), ..Default::default() }
                    .delete(&app.db)
                    .await
                    .map(drop),
                (4, Some(id), ..) => {
                    let change = organization::ActiveModel { id: Unchanged(id), name, ..Default::default() };
                    change.update(&app.db).await.map(drop)
                }
                (5..7, Some(id), ..) | (_, Some(id), _, None) => {
                    let row = user::ActiveModel { organization_id: Set(id), name, ..Default::default() };
                    row.insert(&app.db).await.map(drop)
                }
                (7, _, Some(other), Some(user)) => {
                    let mut change = user.into_active_model();
                    change.organization_id = Set(other);
                    change.update(&app.db).await.map(drop)
                }
                (_, _, _, Some(user)) => user.delete(&app.db).await.map(drop),
            }
        };
        match skewed(offset, change).await {
            Ok(()) | Err(DbErr::RecordNotUpdated) => {}
            Err(error) => assert!(error.to_string().to_lowercase().contains("foreign key"), "{error}"),
        }
    }
}

/// A child whose parent is missing, and to which something happened years ago, and then `then`.
async fn waits_for_its_parent_since_it_began_to(backend: Backend, years_ago: &str, then: impl AsyncFn(&App)) {
    let mut pair = Pair::create(backend).await;
    let acme = organization(&pair.a).await;
    user(&pair.a, acme.id, "Ada").await;
    pair.b.start().await;
    let recorded = pair.a.recorded().await;
    Remote::of(&pair.b).await.publish(&recorded[1]).await;
    parks(&pair.b, "parent_missing").await;
    pair.b.stop().await;
    pair.b
        .sql("UPDATE inbox_events SET received_at = '2020-01-01T00:00:00+00:00', waits_for = NULL, attempts = 1")
        .await;
    pair.b.sql(&format!("UPDATE inbox_events SET {years_ago}")).await;
    then(&pair.b).await;
    pair.b.start().await;
    parks(&pair.b, "parent_missing").await;
    assert_eq!(pair.b.texts("SELECT event_id FROM inbox_events WHERE received_at < '2021-01-01'").await, [""; 0]);
    Remote::of(&pair.b).await.publish(&recorded[0]).await;
    pair.b.has_settled(2).await;
    let (a, b) = pair.rows::<user::Entity>().await;
    assert_eq!((a.len(), a), (1, b));
    pair.stop().await;
}

on_both! {
    async fn both_sides_change_parents_and_children_at_random(backend: Backend) {
        let hour = TimeDelta::hours(1);
        let mut pair = Pair::configured(backend, |mut config| {
            config.keep_parent_after = Duration::from_millis(1);
            config
        })
        .await;
        pair.a.start().await;
        skewed(hour, pair.b.start()).await;
        tokio::join!(stir(&pair.a, 1, TimeDelta::zero()), stir(&pair.b, 2, hour));
        pair.quiet().await;
        let (a, b) = pair.rows::<organization::Entity>().await;
        assert_eq!(a, b);
        let (a, b) = pair.rows::<user::Entity>().await;
        assert_eq!(a, b);
        assert_eq!((pair.a.reasons_of_death().await, pair.b.reasons_of_death().await), (vec![], vec![]));
        pair.stop().await;
    }

    async fn children_that_are_too_large_to_be_read_at_once_follow_their_parent(backend: Backend) {
        const CHILDREN: usize = 15;
        let mut pair = Pair::create(backend).await;
        let acme = organization(&pair.a).await;
        // Together 12 MB, of which 8 MiB are read at a time.
        let name = "n".repeat(800_000);
        for _ in 0..CHILDREN {
            user(&pair.a, acme.id, &name).await;
        }
        let recorded = pair.a.recorded().await;
        pair.b.start().await;
        let remote = Remote::of(&pair.b).await;
        remote.publish_all(&recorded[1..]).await;
        pair.b.has_events("inbox_events", "parked", CHILDREN as i64).await;
        remote.publish(&recorded[0]).await;
        pair.b.has_settled(CHILDREN as u64 + 1).await;
        let (a, b) = pair.rows::<user::Entity>().await;
        assert_eq!(a, b);
        pair.stop().await;
    }

    async fn children_that_arrive_first_wait_for_their_parent(backend: Backend) {
        // An event that waits for longer than any list says is due: a clock was ahead.
        let backoff = [1, 1, 1, 1, 2 * 60 * 60].map(Duration::from_secs);
        let mut pair = Pair::configured(backend, |config| config.backoff(backoff)).await;
        let acme = organization(&pair.a).await;
        for number in 0..5 {
            user(&pair.a, acme.id, &format!("user {number}")).await;
        }
        pair.b.start().await;
        let remote = Remote::of(&pair.b).await;
        let recorded = pair.a.recorded().await;
        remote.publish_all(&recorded[1..]).await;
        until("all children are parked", async || {
            let parked = [pair.b.status().await.parked_events, pair.b.health().await.parked_events];
            parked == [5, 5]
        })
        .await;
        let waits_for = pair.b.texts("SELECT DISTINCT waits_for FROM inbox_events").await;
        assert_eq!(waits_for, [format!("organization/{}", acme.id)]);
        // Not the timer brings them, but their parent.
        let later = (chrono::Utc::now() + TimeDelta::hours(1)).to_rfc3339();
        pair.b.sql(&format!("UPDATE inbox_events SET available_at = '{later}'")).await;
        remote.publish(&recorded[0]).await;
        pair.b.has_settled(6).await;
        let (a, b) = pair.rows::<user::Entity>().await;
        assert_eq!((a.len(), a), (5, b));
        pair.stop().await;
    }

    async fn a_parent_that_is_applied_together_with_others_brings_its_child(backend: Backend) {
        // An event that waits for longer than any list says is due: a clock was ahead.
        let backoff = [1, 1, 1, 1, 2 * 60 * 60].map(Duration::from_secs);
        let mut pair = Pair::configured(backend, |config| config.backoff(backoff)).await;
        let acme = organization(&pair.a).await;
        for name in ["Ada", "Bob"] {
            user(&pair.a, acme.id, name).await;
        }
        let recorded = pair.a.recorded().await;
        pair.b.start().await;
        let remote = Remote::of(&pair.b).await;
        remote.publish(&recorded[1]).await;
        parks(&pair.b, "parent_missing").await;
        pair.b.stop().await;
        // Not the timer brings it, but its parent.
        let later = (chrono::Utc::now() + TimeDelta::hours(1)).to_rfc3339();
        pair.b.sql(&format!("UPDATE inbox_events SET available_at = '{later}'")).await;
        remote.publish_all(&[recorded[0].clone(), recorded[2].clone()]).await;
        pair.b.start().await;
        pair.b.has_settled(3).await;
        let (a, b) = pair.rows::<user::Entity>().await;
        assert_eq!((a.len(), a), (2, b));
        pair.stop().await;
    }

    async fn a_child_that_was_parked_under_a_clock_hours_ahead_is_tried_again_under_the_right_one(backend: Backend) {
        let mut pair = Pair::create(backend).await;
        let acme = organization(&pair.a).await;
        user(&pair.a, acme.id, "Ada").await;
        skewed(TimeDelta::hours(5), pair.b.start()).await;
        let recorded = pair.a.recorded().await;
        Remote::of(&pair.b).await.publish(&recorded[1]).await;
        parks(&pair.b, "parent_missing").await;
        pair.b.stop().await;
        // Nothing that arrives wakes the child: the parent is there before.
        let txn = pair.b.db.begin().await.expect("a transaction");
        let parent = serde_json::to_vec(&recorded[0]).expect("JSON");
        let parent = Envelope::read(&parent, None, &pair.a.config.app_name).expect("an event");
        jsb_runtime::sync_from_event(&txn, &parent).await.expect("the parent is applied");
        txn.commit().await.expect("the parent is there");
        pair.b.start().await;
        pair.b.has_settled(1).await;
        let (a, b) = pair.rows::<user::Entity>().await;
        assert_eq!((a.len(), a), (1, b));
        pair.stop().await;
    }

    async fn a_child_that_failed_long_ago_waits_for_its_parent_as_any_other(backend: Backend) {
        waits_for_its_parent_since_it_began_to(backend, "status = 'failed', reason = NULL, available_at = received_at", async |_| ()).await;
    }

    async fn a_child_that_died_long_ago_waits_for_its_parent_anew_once_it_is_retried(backend: Backend) {
        let dead = "status = 'dead', processed_at = CURRENT_TIMESTAMP, available_at = NULL";
        waits_for_its_parent_since_it_began_to(backend, dead, async |b: &App| {
            let event_ids = b.texts("SELECT event_id FROM inbox_events").await;
            let retried = jsb_runtime::operate::inbox::retry(&b.db, &b.config.destination_app, &event_ids).await;
            assert_eq!(retried.expect("a retry").changed, 1);
        })
        .await;
    }

    async fn a_parent_that_got_a_child_elsewhere_comes_back(backend: Backend) {
        let mut pair = Pair::configured(backend, |mut config| {
            config.keep_parent_after = Duration::from_millis(1);
            config
        })
        .await;
        pair.start_both().await;
        let acme = organization(&pair.a).await;
        pair.quiet().await;
        pair.a.stop().await;
        pair.b.stop().await;
        acme.clone().delete(&pair.a.db).await.expect("a delete on A");
        let ada = user(&pair.b, acme.id, "Ada").await;
        pair.start_both().await;
        // A event of B's that was recorded while it kept the parent is not counted before it is there.
        let kept = eventually("the parent is back on A", || organization::Entity::find_by_id(acme.id).one(&pair.a.db)).await;
        assert!(kept.updated_at > acme.updated_at);
        pair.quiet().await;
        let (a, b) = pair.rows::<organization::Entity>().await;
        assert_eq!((a.as_slice(), b.as_slice()), ([kept.clone()].as_slice(), [kept].as_slice()));
        let (a, b) = pair.rows::<user::Entity>().await;
        assert_eq!((a.as_slice(), b.as_slice()), ([ada.clone()].as_slice(), [ada].as_slice()));
        pair.stop().await;
    }

    async fn a_parent_whose_children_go_in_time_goes_too(backend: Backend) {
        let mut pair = Pair::start(backend).await;
        let acme = organization(&pair.a).await;
        pair.quiet().await;
        pair.a.stop().await;
        pair.b.stop().await;
        acme.delete(&pair.a.db).await.expect("a delete on A");
        let ada = user(&pair.b, 1, "Ada").await;
        pair.start_both().await;
        parks(&pair.b, "has_children").await;
        parks(&pair.a, "parent_missing").await;
        ada.delete(&pair.b.db).await.expect("a delete on B");
        pair.quiet().await;
        assert_eq!(pair.rows::<user::Entity>().await, (vec![], vec![]));
        assert_eq!(pair.rows::<organization::Entity>().await, (vec![], vec![]));
        pair.stop().await;
    }

    async fn a_parent_s_delete_that_is_overtaken_by_its_children_s_deletes_waits_for_them(backend: Backend) {
        let mut pair = Pair::create(backend).await;
        let acme = organization(&pair.a).await;
        let ada = user(&pair.a, acme.id, "Ada").await;
        let mut moved = user(&pair.a, acme.id, "Bob").await.into_active_model();
        ada.delete(&pair.a.db).await.expect("a delete");
        let other = organization::ActiveModel { domain: Set("other.example".to_owned()), ..acme.clone().into() };
        let other = organization::ActiveModel { id: sea_orm::NotSet, ..other }.insert(&pair.a.db).await.expect("a save");
        moved.organization_id = Set(other.id);
        moved.update(&pair.a.db).await.expect("an update");
        acme.delete(&pair.a.db).await.expect("a delete");
        pair.b.start().await;
        let mut events = pair.a.recorded().await;
        // The parent's delete comes right behind its children's creation.
        let delete = events.pop().expect("the delete");
        events.insert(3, delete);
        Remote::of(&pair.b).await.publish_all(&events).await;
        pair.b.has_settled(7).await;
        let (a, b) = pair.rows::<organization::Entity>().await;
        assert_eq!((a.len(), a), (1, b));
        let (a, b) = pair.rows::<user::Entity>().await;
        assert_eq!((a.len(), a), (1, b));
        pair.stop().await;
    }

    async fn a_foreign_key_that_acts_by_itself_is_refused_at_start(backend: Backend) {
        let app = Pair::create(backend).await.a;
        app.sql("CREATE TABLE local (id BIGINT PRIMARY KEY)").await;
        let acts = |parent: &'static str| ["DELETE CASCADE", "UPDATE SET NULL"].map(|acting| (parent, acting));
        for (to, acting) in acts("organizations").into_iter().chain(acts("local")) {
            let key = format!("FOREIGN KEY (organization_id) REFERENCES {to} (id) ON {acting}");
            match backend {
                Backend::Postgres => {
                    app.sql("ALTER TABLE users DROP CONSTRAINT IF EXISTS acting").await;
                    app.sql(&format!("ALTER TABLE users ADD CONSTRAINT acting {key}")).await;
                }
                Backend::Sqlite => {
                    app.sql("DROP TABLE users").await;
                    app.sql(&format!("CREATE TABLE users (id INTEGER PRIMARY KEY, organization_id BIGINT, {key})")).await;
                }
            }
            let refused = jsb_runtime::start(app.config.clone(), app.db.clone()).await.expect_err("a refusal");
            let StartError::Cascade { child, parent, action } = refused else { panic!("{refused}") };
            assert_eq!((child.as_str(), parent.as_str(), action.as_str()), ("users", to, acting));
        }
    }
    async fn a_column_that_takes_no_values_is_refused_at_start(backend: Backend) {
        let app = Pair::create(backend).await.a;
        let (table, column) = match backend {
            Backend::Postgres => {
                app.sql("ALTER TABLE organizations ALTER COLUMN id SET GENERATED ALWAYS").await;
                ("organizations", "id")
            }
            Backend::Sqlite => {
                let tallies = "DROP TABLE tallies; CREATE TABLE tallies (id BLOB PRIMARY KEY, remark TEXT, updated_at TEXT, \
                               VALUE BIGINT GENERATED ALWAYS AS (length(remark)) STORED)";
                app.sql(tallies).await;
                ("tallies", "value")
            }
        };
        let refused = jsb_runtime::start(app.config.clone(), app.db.clone()).await.expect_err("a refusal");
        let StartError::Generated { table: of, column: found } = refused else { panic!("{refused}") };
        assert_eq!((of, found), (table, column));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_key_of_another_schema_s_table_is_nobody_s_business() {
    let mut app = Pair::create(Backend::Postgres).await.a;
    let archive = "CREATE SCHEMA archive; CREATE TABLE archive.users (id BIGINT PRIMARY KEY, organization_id BIGINT \
                   REFERENCES organizations (id) ON DELETE CASCADE)";
    app.sql(archive).await;
    app.start().await;
    app.stop().await;
}
