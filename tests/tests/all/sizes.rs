//! Large events: what is in memory at a time is bounded by bytes, and nothing is too large for that but what the server refuses.

use dev_servers::{NatsOptions, NatsServer};
use jsb_tests::entities::label;
use jsb_tests::gate::gate;
use jsb_tests::probe::{self, Orders};
use jsb_tests::{Backend, ChildCommand, Pair, until};
use sea_orm::ActiveValue::Set;
use sea_orm::{DatabaseConnection, EntityTrait, IntoActiveModel, PaginatorTrait};
use serde_json::Value as Json;

const MEGABYTE: usize = 1_000_000;

async fn save(db: &DatabaseConnection, code: &str, bytes: usize) {
    let row = label::ActiveModel { code: Set(code.to_owned()), caption: Set("x".repeat(bytes)), ..Default::default() };
    row.insert(db).await.expect("a save");
}

/// Has a row become larger than the server takes, and deletes it.
async fn grow_and_delete(db: &DatabaseConnection, code: &str) {
    let row = label::Entity::find_by_id(code).one(db).await.expect("a row").expect("a row");
    let mut large = row.into_active_model();
    large.caption = Set("x".repeat(2 * MEGABYTE));
    let large = large.update(db).await.expect("a save");
    large.delete(db).await.expect("a delete");
}

/// What is published, in order, of a row that becomes too large, is deleted, and comes back.
async fn published_of_a_row_that_comes_back(mut pair: Pair) -> Vec<Json> {
    save(&pair.a.db, "growing", 1).await;
    grow_and_delete(&pair.a.db, "growing").await;
    save(&pair.a.db, "growing", 2).await;
    pair.a.start().await;
    pair.a.has_sent(3).await;
    let subject = format!("{}.sync.{}", pair.a.config.app_name, pair.b.config.app_name);
    let messages = pair.a.stream().await.messages(&subject).await;
    pair.stop().await;
    messages.iter().map(|message| message.json()["event_type"].clone()).collect()
}

on_both! {
    async fn large_events_are_relayed_in_little_memory(backend: Backend) {
        const ROWS: usize = 150;
        const BYTES: usize = 9 * MEGABYTE / 10;
        let mut pair = Pair::create(backend).await;
        pair.b.start().await;
        pair.b.stop().await;
        for n in 0..ROWS {
            save(&pair.a.db, &format!("large {n}"), BYTES).await;
        }
        let child = ChildCommand::new(env!("CARGO_BIN_EXE_app"), &pair.a).set("ROLES", "relay").start().await;
        pair.a.has_sent(ROWS as i64).await;
        if let Some(peak) = child.peak_memory() {
            assert!(peak < (ROWS * BYTES) as u64, "the relay took {peak} bytes for {ROWS} events of {BYTES}");
        }
        assert!(child.stop().await.success());
        pair.stop().await;
    }

    async fn a_row_that_has_become_too_large_is_deleted_on_both_sides(backend: Backend) {
        let pair = Pair::start(backend).await;
        save(&pair.a.db, "growing", 1).await;
        save(&pair.a.db, "staying", 1).await;
        pair.quiet().await;
        grow_and_delete(&pair.a.db, "growing").await;
        until("it is gone on B", async || label::Entity::find().count(&pair.b.db).await == Ok(1)).await;
        assert_eq!(pair.a.count("outbox_events", "failed").await, 1, "the update alone");
        pair.stop().await;
    }

    async fn a_delete_that_is_too_large_keeps_its_place(backend: Backend) {
        let pair = Pair::create(backend).await;
        assert_eq!(published_of_a_row_that_comes_back(pair).await, ["created", "deleted", "created"]);
    }

    /// The first three events fill a batch, and behind it the last one is read ahead.
    async fn a_delete_that_is_too_large_is_not_overtaken_by_what_was_read_ahead(backend: Backend) {
        let pair = Pair::configured(backend, |config| config.batch_size(3)).await;
        assert_eq!(published_of_a_row_that_comes_back(pair).await, ["created", "deleted", "created"]);
    }

    async fn an_event_larger_than_a_batch_goes_over(backend: Backend) {
        let options = NatsOptions { config: "max_payload: 60MB\nmax_pending: 60MB".to_owned(), ..Default::default() };
        let nats = NatsServer::start(options).await.expect("nats-server starts");
        let mut pair = Pair::configured(backend, |config| config.nats_url(nats.url())).await;
        for (code, bytes) in [("first", 1), ("huge", 20 * MEGABYTE), ("vast", 18 * MEGABYTE), ("last", 1)] {
            save(&pair.a.db, code, bytes).await;
        }
        pair.start_both().await;
        until("all four are there", async || label::Entity::find().count(&pair.b.db).await == Ok(4)).await;
        pair.agree::<label::Entity>().await;
        assert_eq!(pair.a.status().await.problems, [""; 0]);
        assert_eq!(pair.b.status().await.problems, [""; 0]);
        pair.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_is_pulled_at_a_time_than_fits_in_memory() {
    const EVENTS: usize = 40;
    let mut pair = Pair::create(Backend::Sqlite).await;
    pair.b.start().await;
    pair.b.stop().await;
    pair.a.start().await;
    let door = uuid::Uuid::new_v4().to_string();
    for _ in 0..EVENTS {
        let ballast = "x".repeat(9 * MEGABYTE / 10);
        let orders = Orders { gate: door.clone(), ballast, ..Default::default() };
        probe::send(&pair.a.db, "hesitate", orders).await;
    }
    pair.a.has_sent(EVENTS as i64).await;
    pair.b.start().await;
    gate(&door).until_reached().await;
    let info = pair.b.progress().await;
    let in_hand = info.num_ack_pending;
    assert!((2..=10).contains(&in_hand), "{in_hand} events of 0.9 megabytes were pulled at a time");
    gate(&door).open();
    pair.quiet().await;
    pair.stop().await;
}
