//! How long what is parked waits: while what heals it may still come, and for its turn.

use std::time::{Duration, Instant};

use chrono::{TimeDelta, Utc};
use jsb_runtime::Config;
use jsb_runtime::testing::skewed;
use jsb_tests::entities::{organization, tally, user};
use jsb_tests::gate::gate;
use jsb_tests::{App, Backend, Pair, Remote, lasts, probe, until};
use sea_orm::ActiveValue::Set;
use serde_json::{Value as Json, json};
use uuid::Uuid;

/// More than the timer reads at a time.
const MANY: i64 = 120;

/// When what is parked is tried again.
const AVAILABLE_AT: &str = "SELECT CAST(available_at AS text) FROM inbox_events WHERE status = 'parked'";

/// An organization of A's with a user.
async fn family(pair: &Pair) -> (organization::Model, user::Model) {
    let parent = organization::new("acme.example").insert(&pair.a.db).await.expect("an organization");
    let row = user::ActiveModel { organization_id: Set(parent.id), name: Set("Ada".to_owned()), ..Default::default() };
    let child = row.insert(&pair.a.db).await.expect("a user");
    (parent, child)
}

/// An event for one of B's probes, which stands before a gate of its id.
fn slow(id: &str) -> Json {
    probe::event("wait", id, json!({"gate": id}))
}

/// Has the timer try what is parked.
async fn is_due(app: &App) {
    let now = Utc::now().to_rfc3339();
    app.sql(&format!("UPDATE inbox_events SET available_at = '{now}' WHERE status = 'parked'")).await;
}

/// Has B park an event, and then be off until that has waited for so long, which is longer than an event may from now on.
async fn parks_for_long(pair: &mut Pair, remote: &Remote, event: &Json, waited: TimeDelta, park_for: Duration) {
    remote.publish(event).await;
    pair.b.has_events("inbox_events", "parked", 1).await;
    pair.b.stop().await;
    let since = (Utc::now() - waited).to_rfc3339();
    pair.b.sql(&format!("UPDATE inbox_events SET received_at = '{since}' WHERE status = 'parked'")).await;
    is_due(&pair.b).await;
    pair.b.config.park_for = park_for;
}

/// Has B come back after longer than an event may wait, and find what heals it behind something slow.
async fn heals_behind_something_slow(pair: &mut Pair, remote: &Remote, parked: &Json, healing: &Json) {
    const PARK_FOR: Duration = Duration::from_secs(1);
    parks_for_long(pair, remote, parked, TimeDelta::seconds(4), PARK_FOR).await;
    let id = Uuid::new_v4().to_string();
    remote.publish_all(&[slow(&id), healing.clone()]).await;
    pair.b.start().await;
    gate(&id).until_reached().await;
    // The timer tries what is parked meanwhile.
    lasts(5 * PARK_FOR).await;
    pair.b.has_events("inbox_events", "parked", 1).await;
    gate(&id).open();
}

/// This one and the next two need writers side by side, or triggers that change a row, which SQLite does not have.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_buried_before_the_backlog_is_consumed() {
    let mut pair = Pair::create(Backend::Postgres).await;
    family(&pair).await;
    let remote = pair.receive().await;
    let [parent, child] = &pair.a.recorded().await[..] else { panic!("two events") };
    heals_behind_something_slow(&mut pair, &remote, child, parent).await;
    pair.b.has_settled(3).await;
    assert_eq!(pair.b.reasons_of_death().await, [""; 0]);
    pair.agree_now::<user::Entity>().await;
    pair.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_parent_is_kept_before_the_backlog_is_consumed() {
    let mut pair = Pair::create(Backend::Postgres).await;
    let (parent, child) = family(&pair).await;
    let remote = pair.receive().await;
    remote.publish_all(&pair.a.recorded().await).await;
    pair.b.has_settled(2).await;
    child.delete(&pair.a.db).await.expect("a delete");
    parent.delete(&pair.a.db).await.expect("a delete");
    let [.., child_goes, parent_goes] = &pair.a.recorded().await[..] else { panic!("the deletes were not recorded") };
    heals_behind_something_slow(&mut pair, &remote, parent_goes, child_goes).await;
    pair.b.has_settled(5).await;
    assert_eq!(pair.agree_now::<organization::Entity>().await, Vec::<organization::Model>::new());
    assert_eq!(pair.b.recorded().await.len(), 0, "it was kept, and so comes back");
    pair.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_parent_is_kept_while_a_delete_before_its_own_is_tried_again() {
    const KEEP_AFTER: Duration = Duration::from_secs(1);
    let again_after = 8 * KEEP_AFTER;
    let patient = |config: Config| config.keep_parent_after(KEEP_AFTER).backoff([again_after; 5]);
    let mut pair = Pair::configured(Backend::Postgres, patient).await;
    let (parent, child) = family(&pair).await;
    let remote = pair.receive().await;
    remote.publish_all(&pair.a.recorded().await).await;
    pair.b.has_settled(2).await;
    let refuse = "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not now'; END $$; \
                  CREATE TRIGGER refuse BEFORE DELETE ON users FOR EACH ROW EXECUTE FUNCTION refuse()";
    pair.b.sql(refuse).await;
    child.delete(&pair.a.db).await.expect("a delete");
    parent.delete(&pair.a.db).await.expect("a delete");
    remote.publish_all(&pair.a.recorded().await[2..]).await;
    pair.b.has_events("inbox_events", "parked", 1).await;
    assert_eq!(pair.b.count("inbox_events", "failed").await, 1);
    // The timer tries what is parked meanwhile.
    lasts(again_after / 2).await;
    pair.b.sql("DROP TRIGGER refuse ON users").await;
    pair.b.has_settled(4).await;
    assert_eq!(pair.agree_now::<organization::Entity>().await, Vec::<organization::Model>::new());
    assert_eq!(pair.b.recorded().await.len(), 0, "it was kept, and so comes back");
    pair.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_begun_once_has_its_turn_among_many_that_never_have() {
    let mut pair = Pair::create(Backend::Postgres).await;
    let always_due = "CREATE FUNCTION at_once() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
                      NEW.available_at = clock_timestamp(); RETURN NEW; END $$; \
                      CREATE TRIGGER at_once BEFORE UPDATE ON inbox_events FOR EACH ROW \
                      WHEN (NEW.status = 'parked' AND NEW.starts = 0) EXECUTE FUNCTION at_once()";
    pair.b.sql(always_due).await;
    pair.b.start().await;
    let user = |id: i64, organization_id: i64| {
        let updated_at = "2026-01-01T00:00:00Z";
        let payload = json!({
            "id": id, "organization_id": organization_id, "name": "Ada", "email": null, "updated_at": updated_at,
        });
        Remote::event_with_id(id.to_string(), "user", "created", id.to_string(), payload)
    };
    let users: Vec<Json> = (0..=MANY).map(|id| user(2 * id + 1, if id == 0 { 1 } else { 3 })).collect();
    Remote::of(&pair.b).await.publish_all(&users).await;
    pair.b.has_events("inbox_events", "parked", MANY + 1).await;
    pair.b.stop().await;
    // The process of the first ended in the middle of it, and what it lacks is here.
    let now = Utc::now().to_rfc3339();
    pair.b.sql(&format!("UPDATE inbox_events SET starts = 1, available_at = '{now}' WHERE event_id = '1'")).await;
    pair.b
        .sql(
            "INSERT INTO organizations (id, name, domain, active, created_at, updated_at) \
             VALUES (1, 'Acme', 'acme.example', true, now(), now())",
        )
        .await;
    pair.b.start().await;
    pair.b.event_is("1", "processed").await;
    pair.stop().await;
}

on_both! {
    async fn a_clock_that_is_ahead_buries_nothing(backend: Backend) {
        let mut pair = Pair::create(backend).await;
        family(&pair).await;
        let remote = pair.receive().await;
        let [parent, child] = &pair.a.recorded().await[..] else { panic!("two events") };
        remote.publish(child).await;
        pair.b.has_events("inbox_events", "parked", 1).await;
        pair.b.stop().await;
        skewed(TimeDelta::days(30), pair.b.start()).await;
        // In its first minute on the stream nothing is buried at all.
        lasts(Duration::from_secs(75)).await;
        let before = pair.b.texts(AVAILABLE_AT).await;
        is_due(&pair.b).await;
        until("it was tried", async || {
            let now = pair.b.texts(AVAILABLE_AT).await;
            now.is_empty() || now > before
        })
        .await;
        assert_eq!(pair.b.reasons_of_death().await, [""; 0]);
        remote.publish(parent).await;
        pair.b.has_settled(2).await;
        pair.stop().await;
    }

    /// The other side comes back at the same time, and may have kept what heals it.
    async fn nothing_is_buried_as_soon_as_there_is_no_backlog(backend: Backend) {
        const PARK_FOR: Duration = Duration::from_secs(50);
        let mut pair = Pair::create(backend).await;
        family(&pair).await;
        let remote = pair.receive().await;
        let [parent, child] = &pair.a.recorded().await[..] else { panic!("two events") };
        parks_for_long(&mut pair, &remote, child, TimeDelta::hours(1), PARK_FOR).await;
        let began = Instant::now();
        pair.b.start().await;
        let id = Uuid::now_v7().to_string();
        let payload = tally::payload(&id, 1, "2026-01-01T00:00:00Z");
        remote.publish(&Remote::event_with_id(&id, "tally", "created", &id, payload)).await;
        pair.b.event_is(&id, "processed").await;
        // By the second time the bridge knows it too.
        for _ in 0..2 {
            is_due(&pair.b).await;
            lasts(Duration::from_secs(2)).await;
        }
        assert!(began.elapsed() < PARK_FOR, "too slow to show anything");
        pair.b.has_events("inbox_events", "parked", 1).await;
        remote.publish(parent).await;
        pair.b.has_settled(3).await;
        assert_eq!(pair.b.reasons_of_death().await, [""; 0]);
        pair.stop().await;
    }
}
