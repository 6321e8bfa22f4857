//! Which key is drawn next, whatever was chosen, came back or was deleted before.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use jsb_tests::entities::organization;
use jsb_tests::{App, Backend, Pair, Remote, until};
use sea_orm::ActiveValue::Set;
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, Statement, TransactionTrait};

use super::{interleave_anew, next_drawn};

/// Creates 64 rows at once; gives back their ids.
async fn create_64(app: &App, name: &str) -> BTreeSet<i64> {
    let creates = (0..64).map(|number| {
        let (db, row) = (app.db.clone(), organization::new(format!("{name}-{number}.example")));
        tokio::spawn(async move { row.insert(&db).await.expect("a save").id })
    });
    join_all(creates).await.into_iter().map(|id| id.expect("a creator")).collect()
}

/// Creates a row as a program does that was built without `Syncable`.
async fn create_without_jsb(txn: &DatabaseTransaction, domain: &str) -> i64 {
    let sql = "INSERT INTO organizations (name, domain, created_at, updated_at) VALUES ('Acme', $1, now(), now()) \
               RETURNING id";
    let insert = Statement::from_sql_and_values(DbBackend::Postgres, sql, [domain.into()]);
    let row = txn.query_one_raw(insert).await.expect("an insert").expect("a row");
    row.try_get_by_index(0).expect("its id")
}

on_both! {
    async fn both_sides_create_at_once_and_no_key_collides(backend: Backend) {
        let pair = Pair::start(backend).await;
        let (odd, even) = tokio::join!(create_64(&pair.a, "a"), create_64(&pair.b, "b"));
        assert!(odd.len() == 64 && odd.iter().all(|id| id % 2 == 1), "{odd:?}");
        assert!(even.len() == 64 && even.iter().all(|id| id % 2 == 0), "{even:?}");
        assert_eq!((odd.first(), even.first()), (Some(&1), Some(&2)));
        assert_eq!(pair.agree::<organization::Entity>().await.len(), 128);
        pair.stop().await;
    }

    async fn a_chosen_key_must_be_of_this_node_s_class(backend: Backend) {
        let pair = Pair::create(backend).await;
        for (app, own, other) in [(&pair.a, 7, 8), (&pair.b, 8, 7)] {
            let with_id = |id| organization::ActiveModel { id: Set(id), ..organization::new(format!("{id}.example")) };
            let refused = with_id(other).insert(&app.db).await.expect_err("the other node's").to_string();
            assert!(refused.contains("belongs to another node"), "{refused}");
            let txn = app.db.begin().await.expect("a transaction");
            with_id(own).insert(&txn).await.expect("a key of its own");
            txn.commit().await.expect("a commit");
            assert_eq!(app.recorded().await.len(), 1);
        }
    }

    async fn a_chosen_key_is_passed_over_by_those_that_are_drawn(backend: Backend) {
        let app = Pair::create(backend).await.a;
        for (id, next) in [(3, [5, 7]), (2_000_001, [2_000_003, 2_000_005])] {
            let chosen = organization::ActiveModel { id: Set(id), ..organization::new(format!("chosen-{id}.example")) };
            chosen.insert(&app.db).await.expect("a key of its own");
            assert_eq!([next_drawn(&app).await, next_drawn(&app).await], next);
        }
    }

    async fn keys_of_rows_that_come_back_are_passed_over_by_those_that_are_drawn(backend: Backend) {
        let mut pair = Pair::create(backend).await;
        let known = |id: i64| organization::ActiveModel { id: Set(id), ..organization::new(format!("{id}.example")) };
        jsb_runtime::skip_publish(known(1).insert(&pair.a.db)).await.expect("an import");
        assert_eq!(next_drawn(&pair.a).await, 3);
        // Rows that were lost here: the other side still has them. One comes alone, then three together.
        pair.a.start().await;
        let remote = Remote::of(&pair.a).await;
        let lost = |id: i64| {
            let row = organization::payload(id, &format!("{id}.example"), "2026-01-01T00:00:00Z");
            Remote::event("organization", "updated", id, row)
        };
        remote.publish(&lost(5)).await;
        pair.a.has_settled(1).await;
        assert_eq!(next_drawn(&pair.a).await, 7);
        pair.a.stop().await;
        remote.publish_all(&[lost(9), lost(11), lost(12)]).await;
        pair.a.start().await;
        pair.a.has_settled(4).await;
        assert_eq!(next_drawn(&pair.a).await, 13);
        pair.stop().await;
    }

    async fn the_other_side_leaves_keys_to_draw(backend: Backend) {
        let mut pair = Pair::create(backend).await;
        pair.a.start().await;
        let last = organization::payload(i64::MAX, "last.example", "2026-01-01T00:00:00Z");
        let event = Remote::event("organization", "created", i64::MAX.to_string(), last);
        Remote::of(&pair.a).await.publish(&event).await;
        until("the row is there", async || {
            let found = pair.a.texts("SELECT domain FROM organizations").await;
            found == ["last.example"]
        })
        .await;
        assert_eq!(next_drawn(&pair.a).await, 1);
        assert_eq!(next_drawn(&pair.a).await, 3);
        pair.a.stop().await;
    }

    /// A table whose own ids have come so far still gives every row one.
    async fn a_key_that_is_chosen_in_the_upper_half_is_not_drawn_again(backend: Backend) {
        let app = Pair::create(backend).await.a;
        let next = i64::MAX / 2 + 2;
        app.sql(&format!("UPDATE sync_keys SET next_id = {next}")).await;
        if backend == Backend::Postgres {
            app.sql(&format!("SELECT setval(pg_get_serial_sequence('organizations', 'id'), {next}, false)")).await;
        }
        let chosen = organization::ActiveModel { id: Set(next), ..organization::new("chosen.example") };
        chosen.insert(&app.db).await.expect("a key of its own");
        let mut drawn = organization::new("drawn.example").insert(&app.db).await;
        if backend == Backend::Postgres {
            drawn.expect_err("the one that is taken is drawn once, in vain");
            drawn = organization::new("drawn.example").insert(&app.db).await;
        }
        assert_eq!(drawn.expect("a key").id, next + 2);
        assert_eq!(next_drawn(&app).await, next + 4);
    }

    async fn keys_of_deleted_rows_are_not_drawn_again_after_a_change_of_nodes(backend: Backend) {
        let app = Pair::create(backend).await.a;
        assert_eq!([next_drawn(&app).await, next_drawn(&app).await, next_drawn(&app).await], [1, 3, 5]);
        app.sql("DELETE FROM organizations WHERE id > 1").await;
        interleave_anew(&app, 3).await;
        assert_eq!(next_drawn(&app).await, 7);
    }

    async fn a_low_key_does_not_set_back_what_is_drawn_first(backend: Backend) {
        let app = Pair::create(backend).await.a;
        assert_eq!([next_drawn(&app).await, next_drawn(&app).await, next_drawn(&app).await], [1, 3, 5]);
        interleave_anew(&app, 2).await;
        app.sql("DELETE FROM organizations WHERE id = 3").await;
        let back = organization::ActiveModel { id: Set(3), ..organization::new("back.example") };
        back.insert(&app.db).await.expect("a key of its own");
        assert_eq!(next_drawn(&app).await, 7);
    }
}

/// As by an instance that is about to be replaced, from before the table was synced.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_that_are_drawn_and_not_committed_yet_are_not_drawn_again() {
    let app = Pair::create(Backend::Postgres).await.a;
    let txn = app.db.begin().await.expect("a transaction");
    let first = create_without_jsb(&txn, "first.example").await;
    let second = async {
        app.until_somebody_waits("query LIKE 'ALTER SEQUENCE%'").await;
        let second = create_without_jsb(&txn, "second.example").await;
        txn.commit().await.expect("a commit");
        second
    };
    let ((), second) = tokio::join!(interleave_anew(&app, 2), second);
    assert_eq!([first, second, next_drawn(&app).await], [1, 3, 5]);
}
