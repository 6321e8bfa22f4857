//! P3, once: a duplicate, concurrent ones too, changes nothing. P5, no echo: nothing that is applied is published back.

use async_nats::HeaderMap;
use jsb_runtime::{Effect, Envelope, NewEvent};
use jsb_tests::entities::{sighting, tally, ticket};
use jsb_tests::{Pair, Remote, until};
use sea_orm::{
    ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, SqliteTransactionMode, TransactionOptions, TransactionTrait,
};
use serde_json::{Value as Json, json};
use uuid::Uuid;

fn ticket(id: Uuid, event_id: &str, number: i64) -> Json {
    let updated_at = format!("2026-01-01T00:00:{number:02}Z");
    Remote::event_with_id(
        event_id,
        "ticket",
        "updated",
        id,
        json!({"id": id, "number": number, "updated_at": updated_at}),
    )
}

on_both! {
    async fn a_duplicate_changes_nothing(backend: Backend) {
        let (pair, remote) = Pair::receiving(backend).await;
        let id = Uuid::now_v7();
        for _ in 0..3 {
            remote.publish(&ticket(id, "same", 1)).await;
        }
        remote.publish(&ticket(id, "another", 2)).await;
        pair.b.has_settled(2).await;
        let sightings = sighting::Entity::find().all(&pair.b.db).await.expect("the sightings");
        let seen: Vec<_> = sightings.iter().map(|seen| (seen.handler.as_str(), seen.number)).collect();
        assert_eq!(seen.len(), 4);
        assert!([("typed", 1), ("raw", 1), ("typed", 2), ("raw", 2)].iter().all(|one| seen.contains(one)), "{seen:?}");
        pair.stop().await;
    }

    async fn what_an_event_does_not_carry_has_its_type_s_default_for_a_handler(backend: Backend) {
        let (pair, remote) = Pair::receiving(backend).await;
        let id = Uuid::now_v7();
        remote.publish(&ticket(id, "whole", 1)).await;
        remote.publish(&Remote::event("ticket", "deleted", id, json!({"id": id}))).await;
        pair.b.has_settled(2).await;
        let sightings = sighting::Entity::find().all(&pair.b.db).await.expect("the sightings");
        let seen = sightings.iter().find(|seen| seen.event_type == "deleted").expect("the handler ran");
        assert_eq!((seen.handler.as_str(), seen.number), ("typed", 0));
        assert_eq!(ticket::Entity::find().count(&pair.b.db).await.expect("a count"), 0);
        pair.stop().await;
    }

    async fn concurrent_duplicates_change_nothing(backend: Backend) {
        let mut pair = Pair::configured(backend, |mut config| {
            config.batch_size = 1;
            config
        })
        .await;
        pair.b.start().await;
        let remote = pair.receive().await;
        let ids: Vec<_> = std::iter::repeat_with(Uuid::now_v7).take(40).collect();
        let events: Vec<_> = ids.iter().flat_map(|id| vec![ticket(*id, &id.to_string(), 1); 3]).collect();
        remote.publish_all(&events).await;
        // Behind all of them, so that no duplicate is still to come.
        remote.publish_all(&[ticket(ids[0], "last", 2), ticket(ids[1], "very last", 2)]).await;
        pair.b.has_settled(42).await;
        pair.b.stop().await;
        assert_eq!(sighting::Entity::find().count(&pair.b.db).await.expect("a count"), 2 * 42);
        assert_eq!(ticket::Entity::find().count(&pair.b.db).await.expect("a count"), 40);
    }

    async fn what_is_applied_is_not_published_back(backend: Backend) {
        let pair = Pair::start(backend).await;
        let row = tally::new(1).insert(&pair.a.db).await.expect("a save");
        ticket::new(1).insert(&pair.a.db).await.expect("a save");
        row.delete(&pair.a.db).await.expect("a delete");
        pair.quiet().await;
        assert_eq!((pair.a.recorded().await.len(), pair.b.recorded().await.len()), (3, 0));
        pair.stop().await;
    }

    async fn handlers_that_call_each_other_end_in_the_dlq(backend: Backend) {
        let pair = Pair::start(backend).await;
        jsb_runtime::publish(&pair.a.db, NewEvent::new("rally", "1", "ping", json!({}))).await.expect("an event");
        let dead = || async { pair.a.status().await.dead_events + pair.b.status().await.dead_events };
        until("the ball is out", async || dead().await == 1).await;
        pair.quiet().await;
        // The first event has come through no handler, the last one through more than sixteen.
        let (a, b) = (pair.a.recorded().await.len(), pair.b.recorded().await.len());
        assert_eq!((a, b), (9, 9));
        assert_eq!(pair.a.reasons_of_death().await, ["hop_limit"]);
        pair.stop().await;
    }

    async fn a_save_in_a_handler_s_scope_carries_the_hops_of_its_cause(backend: Backend) {
        let mut pair = Pair::create(backend).await;
        pair.b.start().await;
        let mut headers = HeaderMap::new();
        headers.insert("Jsb-Hops", "16");
        let ball = json!({"event_id": "1", "event_type": "ping", "resource_type": "rally", "resource_id": "1", "trace_id": "00000000deadbeef"});
        Remote::of(&pair.b).await.publish_with(headers, &ball).await;
        pair.b.has_settled(1).await;
        let sent = pair.b.texts("SELECT headers FROM outbox_events").await;
        assert!(sent[0].contains("\"Jsb-Hops\":\"17\"") && sent[0].contains("00000000deadbeef"), "{sent:?}");
        pair.stop().await;
    }

    async fn sync_from_event_applies_by_version_and_does_not_publish(backend: Backend) {
        let mut pair = Pair::create(backend).await;
        pair.b.start().await;
        let id = Uuid::now_v7();
        let read = |event: Json| Envelope::read(event.to_string().as_bytes(), None, &pair.a.config.app_name).expect("an event");
        let immediate = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..Default::default()
        };
        let txn = pair.b.db.begin_with_options(immediate).await.expect("a transaction");
        let newer = read(ticket(id, "2", 2));
        assert_eq!(jsb_runtime::sync_from_event(&txn, &newer).await.expect("it applies"), Effect::Applied);
        let older = read(ticket(id, "1", 1));
        assert_eq!(jsb_runtime::sync_from_event(&txn, &older).await.expect("it applies"), Effect::Stale);
        let unknown = Envelope { resource_type: "unheard".to_owned(), ..older.clone() };
        jsb_runtime::sync_from_event(&txn, &unknown).await.expect_err("no such entity");
        let custom = Envelope { event_type: "closed".to_owned(), ..older };
        jsb_runtime::sync_from_event(&txn, &custom).await.expect_err("an event that says nothing of a row");
        txn.commit().await.expect("a commit");
        assert_eq!(ticket::Entity::find_by_id(id).one(&pair.b.db).await.expect("a read").expect("the row").number, 2);
        assert_eq!(pair.b.recorded().await.len(), 0);
        assert_eq!(sighting::Entity::find().count(&pair.b.db).await.expect("a count"), 0);
        pair.stop().await;
    }

    async fn handle_event_runs_the_handlers_in_the_transaction(backend: Backend) {
        let pair = Pair::create(backend).await;
        let read = |event: Json| Envelope::read(event.to_string().as_bytes(), None, &pair.a.config.app_name).expect("an event");
        let id = Uuid::now_v7();
        let newer = read(ticket(id, "2", 2));
        for (commits, seen) in [(false, 0), (true, 2)] {
            let txn = pair.b.db.begin().await.expect("a transaction");
            assert_eq!(jsb_runtime::handle_event(&txn, &newer).await.expect("they succeed"), Effect::Applied);
            if commits { txn.commit().await } else { txn.rollback().await }.expect("the end");
            assert_eq!(sighting::Entity::find().count(&pair.b.db).await, Ok(seen));
        }
        let txn = pair.b.db.begin().await.expect("a transaction");
        assert_eq!(jsb_runtime::handle_event(&txn, &read(ticket(id, "1", 1))).await.expect("they see it too"), Effect::Stale);
        let stale = sighting::Entity::find().filter(sighting::Column::Stale.eq(true)).count(&txn).await;
        assert_eq!(stale, Ok(2));
        let quiet = Remote::event("tally", "created", id, tally::payload(id, 1, "2026-01-01T00:00:00Z"));
        jsb_runtime::handle_event(&txn, &read(quiet)).await.expect("a row needs no handler");
        let custom = Envelope { event_type: "closed".to_owned(), ..newer };
        jsb_runtime::handle_event(&txn, &custom).await.expect_err("nobody takes it");
    }
}
