//! Events that wait are applied together, in few transactions, and come to the same as one by one.

use std::collections::BTreeMap;

use jsb_tests::entities::{membership, organization, seat, tally};
use jsb_tests::{App, Backend, Pair, Remote};
use sea_orm::sea_query::LockType;
use sea_orm::{ConnectionTrait, EntityTrait, PaginatorTrait, QuerySelect, TransactionTrait};
use serde_json::{Value as Json, json};
use uuid::Uuid;

fn event(resource: &str, event_type: &str, id: &Json, second: usize, mut fields: Json) -> Json {
    fields["id"] = id.clone();
    fields["updated_at"] = json!(format!("2026-01-01T00:{:02}:{:02}Z", second / 60, second % 60));
    Remote::event(resource, event_type, id, fields)
}

fn tally(id: Uuid, event_type: &str, second: usize, fields: Json) -> Json {
    event("tally", event_type, &json!(id), second, fields)
}

fn full(value: usize) -> Json {
    json!({"value": value, "remark": format!("value {value}")})
}

fn organization(id: u64, domain: &str, second: usize) -> Json {
    let fields = json!({"name": "Acme", "domain": domain, "active": true, "created_at": "2026-01-01T00:00:00Z"});
    event("organization", "updated", &json!(id), second, fields)
}

fn seat(id: Uuid, organization_id: u64) -> Json {
    event("chair", "updated", &json!(id), 0, json!({"number": 1, "organization_id": organization_id}))
}

/// A pair whose B has these events waiting before it starts again.
async fn with_waiting(backend: Backend, events: &[Json]) -> Pair {
    let mut pair = Pair::create(backend).await;
    pair.b.start().await;
    pair.b.stop().await;
    Remote::of(&pair.b).await.publish_all(events).await;
    pair.b.start().await;
    pair
}

/// In how many transactions B has first taken note of what came: those that do so together do it at one time.
async fn transactions(app: &App) -> usize {
    let times = app.texts("SELECT DISTINCT CAST(received_at AS text) FROM inbox_events").await;
    times.len()
}

async fn tallies(app: &App) -> BTreeMap<Uuid, (i64, String)> {
    let rows = tally::Entity::find().all(&app.db).await.expect("the tallies");
    rows.into_iter().map(|row| (row.id, (row.value, row.remark))).collect()
}

on_both! {
    async fn rows_of_composite_keys_are_applied_together(backend: Backend) {
        let membership = |member: usize| {
            let payload = json!({"group": "all", "member": member, "role": "new", "updated_at": "2026-01-01T00:00:00Z"});
            Remote::event("membership", "created", format!("all/{member}"), payload)
        };
        let events: Vec<_> = (0..1_000).map(membership).collect();
        let mut pair = with_waiting(backend, &events).await;
        pair.b.has_settled(1_000).await;
        assert_eq!(membership::Entity::find().count(&pair.b.db).await.expect("a count"), 1_000);
        let transactions = transactions(&pair.b).await;
        assert!(transactions < 10, "{transactions} transactions");
        pair.b.stop().await;
    }

    async fn events_that_wait_are_applied_in_few_transactions(backend: Backend) {
        let ids: Vec<_> = std::iter::repeat_with(Uuid::now_v7).take(1_000).collect();
        let mut events: Vec<_> = ids.iter().map(|id| tally(*id, "created", 0, full(0))).collect();
        events.extend(ids.iter().map(|id| tally(*id, "updated", 1, full(1))));
        let mut pair = with_waiting(backend, &events).await;
        pair.b.has_settled(2_000).await;
        let rows = tallies(&pair.b).await;
        assert!(rows.len() == 1_000 && rows.values().all(|(value, _)| *value == 1), "{rows:?}");
        let transactions = transactions(&pair.b).await;
        assert!(transactions < 50, "{transactions} transactions for 2,000 events");
        pair.b.stop().await;
    }

    async fn many_events_of_one_row_come_to_what_the_newest_says(backend: Backend) {
        let [counted, partial, gone, back, brief, late] = std::array::from_fn(|_| Uuid::now_v7());
        let mut events: Vec<_> = (1..=100).map(|value| tally(counted, "updated", value, full(value))).collect();
        events.extend([
            tally(partial, "created", 1, full(1)),
            // What it does not carry stays.
            tally(partial, "updated", 2, json!({"value": 2})),
            tally(gone, "created", 1, full(1)),
            tally(gone, "updated", 2, full(2)),
            tally(gone, "deleted", 3, full(2)),
            tally(gone, "updated", 2, full(2)),
            tally(back, "created", 1, json!({"value": 1, "remark": "before"})),
            tally(back, "deleted", 2, full(1)),
            // The column's default, not what was there before.
            tally(back, "created", 3, json!({"value": 3})),
            tally(brief, "deleted", 1, full(1)),
            tally(late, "updated", 5, full(5)),
            tally(late, "updated", 4, full(4)),
        ]);
        let mut pair = with_waiting(backend, &events).await;
        pair.b.has_settled(events.len() as u64).await;
        let text = str::to_owned;
        let expected = BTreeMap::from([
            (counted, (100, text("value 100"))),
            (partial, (2, text("value 1"))),
            (back, (3, text("none"))),
            (late, (5, text("value 5"))),
        ]);
        assert_eq!(tallies(&pair.b).await, expected);
        let tombstones = pair.b.texts("SELECT resource_id FROM sync_tombstones ORDER BY resource_id").await;
        let deleted = [gone, back, brief].map(|id| id.to_string());
        assert_eq!(tombstones, deleted);
        pair.b.stop().await;
    }

    async fn a_bad_event_costs_its_batch_once(backend: Backend) {
        let mut events: Vec<_> = (0..500).map(|value| tally(Uuid::now_v7(), "created", 0, full(value))).collect();
        events[321] = tally(Uuid::now_v7(), "created", 0, json!({"value": "no number", "remark": ""}));
        let mut pair = with_waiting(backend, &events).await;
        pair.b.has_settled(500).await;
        assert_eq!(pair.b.reasons_of_death().await, ["invalid_payload"]);
        assert_eq!(tallies(&pair.b).await.len(), 499);
        let transactions = transactions(&pair.b).await;
        assert!(transactions < 50, "{transactions} transactions for 500 events of which one is bad");
        pair.b.stop().await;
    }

    async fn an_event_that_comes_twice_in_a_batch_is_applied_once(backend: Backend) {
        let [known, twice, once] = std::array::from_fn(|_| Uuid::now_v7());
        let before = tally(known, "created", 1, full(1));
        let mut pair = with_waiting(backend, std::slice::from_ref(&before)).await;
        pair.b.has_settled(1).await;
        pair.b.stop().await;

        let again = |event: &Json, id: Uuid| {
            let mut again = tally(id, "updated", 2, full(2));
            again["event_id"] = event["event_id"].clone();
            again
        };
        let first = tally(twice, "created", 1, full(1));
        let (second, third) = (again(&first, twice), tally(once, "created", 3, full(3)));
        let events = [again(&before, known), first, second, third];
        Remote::of(&pair.b).await.publish_all(&events).await;
        pair.b.start().await;
        pair.b.has_settled(3).await;
        let values: BTreeMap<_, _> = tallies(&pair.b).await.into_iter().map(|(id, (value, _))| (id, value)).collect();
        assert_eq!(values, BTreeMap::from([(known, 1), (twice, 1), (once, 3)]));
        pair.b.stop().await;
    }

    async fn parents_and_children_are_written_together(backend: Backend) {
        let seats: Vec<_> = std::iter::repeat_with(Uuid::now_v7).take(150).zip(1..).collect();
        let organization = |id: u64| organization(id, &format!("{id}.example"), 0);
        let events: Vec<_> = seats.iter().flat_map(|(seat_id, id)| [organization(*id), seat(*seat_id, *id)]).collect();
        let mut pair = with_waiting(backend, &events).await;
        pair.b.has_settled(300).await;
        assert_eq!(seat::Entity::find().count(&pair.b.db).await.expect("a count"), 150);
        let written = transactions(&pair.b).await;
        assert!(written < 20, "{written} transactions for {} events", events.len());

        let gone = |mut event: Json| {
            event["event_id"] = json!(Uuid::now_v7());
            event["event_type"] = json!("deleted");
            event["payload"]["updated_at"] = json!("2026-01-01T00:01:00Z");
            event
        };
        let deletes = seats.iter().flat_map(|(seat_id, id)| [gone(seat(*seat_id, *id)), gone(organization(*id))]);
        let deletes: Vec<_> = deletes.collect();
        pair.b.stop().await;
        Remote::of(&pair.b).await.publish_all(&deletes).await;
        pair.b.start().await;
        pair.b.has_settled(600).await;
        assert_eq!(seat::Entity::find().count(&pair.b.db).await.expect("a count"), 0);
        assert_eq!(organization::Entity::find().count(&pair.b.db).await.expect("a count"), 0);
        let deleted = transactions(&pair.b).await - written;
        assert!(deleted < 20, "{deleted} transactions for {} deletes", deletes.len());
        pair.b.stop().await;
    }

    async fn unique_values_that_change_hands_in_a_batch_arrive(backend: Backend) {
        let events = [
            organization(1, "one.example", 0),
            organization(2, "two.example", 0),
            organization(1, "free.example", 1),
            organization(3, "one.example", 1),
            organization(2, "free.example", 2),
            organization(1, "two.example", 3),
        ];
        let mut pair = with_waiting(backend, &events).await;
        pair.b.has_settled(events.len() as u64).await;
        let rows = organization::Entity::find().all(&pair.b.db).await.expect("the organizations");
        let domains: BTreeMap<_, _> = rows.into_iter().map(|row| (row.id, row.domain)).collect();
        let expected = [(1, "two.example"), (2, "free.example"), (3, "one.example")];
        assert_eq!(domains, expected.map(|(id, domain)| (id, domain.to_owned())).into());
        pair.b.stop().await;
    }
}

/// While somebody adds children to a row, foreign keys lock its key. Others go on doing so, and an update must not wait for all
/// of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_update_does_not_wait_for_those_who_add_children() {
    let mut pair = with_waiting(Backend::Postgres, &[organization(2, "acme.example", 0)]).await;
    pair.b.has_settled(1).await;
    let adding = pair.b.db.begin().await.expect("a transaction");
    let parent = organization::Entity::find_by_id(2).lock(LockType::KeyShare).one(&adding).await.expect("a read");
    assert!(parent.is_some());
    let remote = Remote::of(&pair.b).await;
    remote.publish_all(&[organization(2, "acme.example", 1)]).await;
    pair.b.has_settled(2).await;
    pair.b.stop().await;
    remote.publish_all(&[organization(2, "acme.example", 2), organization(4, "other.example", 2)]).await;
    pair.b.start().await;
    pair.b.has_settled(4).await;
    adding.commit().await.expect("a commit");
    pair.b.stop().await;
}

/// A batch holds many rows' locks. PostgreSQL ends one of two transactions that wait for each other: never the user's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_of_the_applications_is_not_ended_for_a_batch() {
    let ids: Vec<_> = std::iter::repeat_with(Uuid::now_v7).take(100).collect();
    let events: Vec<_> = ids.iter().map(|id| tally(*id, "created", 0, full(0))).collect();
    let mut pair = with_waiting(Backend::Postgres, &events).await;
    pair.b.has_settled(100).await;

    let (first, last) = (ids[0], ids[99]);
    for round in 1..=2 {
        // The batch takes the rows' locks in the order of their keys: it gets the first, and waits for the last.
        let txn = pair.b.db.begin().await.expect("a transaction");
        let held = tally::Entity::find_by_id(last).lock(LockType::Update).one(&txn).await.expect("a read");
        assert!(held.is_some());
        pair.b.stop().await;
        let events: Vec<_> = ids.iter().map(|id| tally(*id, "updated", round, full(round))).collect();
        Remote::of(&pair.b).await.publish_all(&events).await;
        pair.b.start().await;
        // Whoever waits for longer than `deadlock_timeout` has looked for a deadlock, found none, and looks no more.
        pair.b.until_somebody_waits("waitstart < now() - interval '1.2 s'").await;
        txn.execute_unprepared(&format!("UPDATE tallies SET remark = 'mine' WHERE id = '{first}'"))
            .await
            .expect("the application's transaction goes on");
        txn.commit().await.expect("the application's transaction commits");
        pair.b.has_settled((100 * (round + 1)) as u64).await;
    }
    assert!(tallies(&pair.b).await.values().all(|(value, _)| *value == 2));
    pair.b.stop().await;
}
