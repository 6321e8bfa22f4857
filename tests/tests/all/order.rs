//! P8, order: events of one row are published, and applied by one consumer, in commit order.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use futures_util::future::join_all;
use jsb_runtime::NewEvent;
use jsb_runtime::testing::skewed;
use jsb_tests::entities::{sighting, ticket};
use jsb_tests::stream::StreamMessage;
use jsb_tests::{App, Pair, until};
use sea_orm::ActiveValue::{Set, Unchanged};
use sea_orm::{
    ColumnTrait, DatabaseConnection, EntityTrait, QueryFilter, QueryOrder, QuerySelect, SqliteTransactionMode,
    TransactionOptions, TransactionTrait,
};
use serde_json::{Value as Json, json};
use uuid::Uuid;

/// Counts a ticket up, in a transaction of the user's: the number says in which order they committed.
async fn count_up(id: Uuid, db: &DatabaseConnection) {
    let options =
        TransactionOptions { sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate), ..Default::default() };
    let txn = db.begin_with_options(options).await.expect("a transaction");
    let found = ticket::Entity::find_by_id(id).lock_exclusive().one(&txn).await.expect("a read").expect("the ticket");
    let change = ticket::ActiveModel { id: Unchanged(id), number: Set(found.number + 1), ..Default::default() };
    change.update(&txn).await.expect("an update");
    txn.commit().await.expect("a commit");
}

/// Six writers on three tickets, twenty updates each.
async fn write(app: &App) -> Vec<Uuid> {
    let ids = join_all((0..3).map(|_| ticket::saved(&app.db))).await;
    let writers = (0..6).map(|writer| {
        let (id, db) = (ids[writer % 3], app.db.clone());
        tokio::spawn(async move {
            for _ in 0..20 {
                count_up(id, &db).await;
            }
        })
    });
    join_all(writers).await.into_iter().for_each(|writer| writer.expect("a writer"));
    ids
}

/// What the stream holds for `app`, in its order.
async fn published_to(app: &App) -> Vec<Json> {
    let subject = format!("{}.sync.{}", app.config.destination_app, app.config.app_name);
    app.stream().await.messages(&subject).await.iter().map(StreamMessage::json).collect()
}

/// What a handler saw of a ticket, in the order of its runs.
async fn seen(app: &App, handler: &str, id: Uuid) -> Vec<sighting::Model> {
    let of_ticket = sighting::Entity::find()
        .filter(sighting::Column::Handler.eq(handler))
        .filter(sighting::Column::ResourceId.eq(id.to_string()));
    of_ticket.order_by_asc(sighting::Column::Id).all(&app.db).await.expect("the sightings")
}

on_both! {
    async fn events_of_a_row_are_published_and_applied_in_commit_order(backend: Backend) {
        let mut pair = Pair::create(backend).await;
        for _ in 0..3 {
            pair.a.start().await;
        }
        pair.b.start().await;
        let ids = write(&pair.a).await;
        pair.quiet().await;
        let published = published_to(&pair.b).await;
        for id in ids {
            let of_ticket = published.iter().filter(|event| event["resource_id"] == id.to_string());
            let numbers: Vec<_> = of_ticket.map(|event| event["payload"]["number"].as_i64()).collect();
            assert_eq!(numbers, (0..=40).map(Some).collect::<Vec<_>>());
            for handler in ["typed", "raw"] {
                let seen = seen(&pair.b, handler, id).await;
                assert_eq!(seen.iter().map(|seen| seen.number).collect::<Vec<_>>(), (0..=40).collect::<Vec<_>>());
                assert!(seen.iter().all(|seen| !seen.stale));
            }
        }
        pair.stop().await;
    }

    async fn with_several_consumers_every_event_is_handled_once_and_the_newest_stays(backend: Backend) {
        let mut pair = Pair::configured(backend, |mut config| {
            config.batch_size = 4;
            config
        })
        .await;
        for _ in 0..2 {
            pair.start_both().await;
        }
        let ids = write(&pair.a).await;
        assert_eq!(pair.agree::<ticket::Entity>().await.len(), 3);
        for id in ids {
            let mut numbers: Vec<_> = seen(&pair.b, "typed", id).await.iter().map(|seen| seen.number).collect();
            numbers.sort_unstable();
            assert_eq!(numbers, (0..=40).collect::<Vec<_>>());
        }
        pair.stop().await;
    }

    async fn later_events_of_a_row_wait_behind_one_that_the_server_refuses(backend: Backend) {
        let mut pair = Pair::create(backend).await;
        let [first, other] = [ticket::saved(&pair.a.db).await, ticket::saved(&pair.a.db).await];
        count_up(first, &pair.a.db).await;
        count_up(first, &pair.a.db).await;
        // The server refuses what expects another state of the stream.
        pair.a.sql("UPDATE outbox_events SET headers = '{\"Nats-Expected-Last-Sequence\": \"999\"}' WHERE id = 3").await;
        pair.start_both().await;
        until("the event is refused", async || {
            let refused = pair.a.texts("SELECT event_id FROM outbox_events WHERE attempts > 0").await;
            !refused.is_empty()
        })
        .await;
        let published = || async {
            let published = published_to(&pair.b).await;
            let row = |event: &Json| (event["resource_id"].as_str().map(str::to_owned), event["payload"]["number"].as_i64());
            published.iter().map(row).collect::<BTreeSet<_>>()
        };
        let event = |id: Uuid, number| (Some(id.to_string()), Some(number));
        assert_eq!(published().await, BTreeSet::from([event(first, 0), event(other, 0)]));
        pair.a.sql("UPDATE outbox_events SET headers = '{}' WHERE id = 3").await;
        pair.quiet().await;
        let seen = seen(&pair.b, "typed", first).await;
        assert_eq!(seen.iter().map(|seen| (seen.number, seen.stale)).collect::<Vec<_>>(), [0, 1, 2].map(|n| (n, false)));
        pair.stop().await;
    }

    async fn an_event_that_was_delayed_under_a_clock_hours_ahead_goes_out_under_the_right_one(backend: Backend) {
        let mut pair = Pair::create(backend).await;
        let id = ticket::saved(&pair.a.db).await;
        pair.a.sql("UPDATE outbox_events SET headers = '{\"Nats-Expected-Last-Sequence\": \"999\"}'").await;
        skewed(TimeDelta::hours(5), pair.a.start()).await;
        until("the event is refused", async || {
            let refused = pair.a.texts("SELECT event_id FROM outbox_events WHERE attempts > 0").await;
            !refused.is_empty()
        })
        .await;
        pair.a.stop().await;
        pair.a.sql("UPDATE outbox_events SET headers = '{}'").await;
        pair.start_both().await;
        pair.quiet().await;
        assert_eq!(seen(&pair.b, "typed", id).await.len(), 1);
        pair.stop().await;
    }

    async fn an_event_that_comes_late_says_so(backend: Backend) {
        let mut pair = Pair::create(backend).await;
        let id = ticket::saved(&pair.a.db).await;
        count_up(id, &pair.a.db).await;
        let row = ticket::Entity::find_by_id(id).one(&pair.a.db).await.expect("a read").expect("the ticket");
        row.delete(&pair.a.db).await.expect("a delete");
        let recorded = pair.a.recorded().await;
        let remote = pair.receive().await;
        for event in [1, 0, 2] {
            remote.publish(&recorded[event]).await;
        }
        pair.b.has_settled(3).await;
        let seen = seen(&pair.b, "typed", id).await;
        let seen: Vec<_> = seen.iter().map(|seen| (seen.event_type.as_str(), seen.number, seen.stale)).collect();
        assert_eq!(seen, [("updated", 1, false), ("created", 0, true), ("deleted", 1, false)]);
        pair.stop().await;
    }

    async fn an_event_of_one_s_own_goes_out_with_its_transaction(backend: Backend) {
        let pair = Pair::start(backend).await;
        let report = |id: &str, pages: i64| NewEvent::new("report", id, "finished", json!({"pages": pages}));
        let txn = pair.a.db.begin().await.expect("a transaction");
        jsb_runtime::publish(&txn, report("lost", 1)).await.expect("an event");
        txn.rollback().await.expect("a rollback");
        let txn = pair.a.db.begin().await.expect("a transaction");
        jsb_runtime::publish(&txn, report("42", 7)).await.expect("an event");
        txn.commit().await.expect("a commit");
        jsb_runtime::publish(&pair.a.db, report("43", 8)).await.expect("an event");
        let dotted = NewEvent::new("report", "44", "report.finished", json!({}));
        let refused = jsb_runtime::publish(&pair.a.db, dotted).await.expect_err("it would arrive as another type");
        assert!(refused.to_string().contains("holds a dot"), "{refused}");
        pair.quiet().await;
        let seen = sighting::Entity::find().order_by_asc(sighting::Column::Id).all(&pair.b.db).await.expect("the sightings");
        let seen: Vec<_> = seen.iter().map(|seen| (seen.handler.as_str(), seen.resource_id.as_str(), seen.number)).collect();
        assert_eq!(seen, [("report", "42", 7), ("report", "43", 8)]);
        pair.stop().await;
    }
}
