//! Statements that lack a key, come to no row, or have a key that is an enum.

use jsb_tests::entities::specimen::Size;
use jsb_tests::entities::{label, membership, organization, tally};
use jsb_tests::{Backend, Pair, Remote};
use sea_orm::ActiveValue::Set;
use sea_orm::{DbErr, EntityTrait, TransactionTrait};
use serde_json::json;

/// How many there may be of a size, which PostgreSQL has as a type of its own.
mod quota {
    use jsb_runtime::prelude::*;
    use jsb_tests::entities::specimen::Size;
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Syncable)]
    #[sea_orm(table_name = "quotas")]
    #[syncable(resource = "quota")]
    pub(super) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub size: Size,
        pub most: i64,
        pub updated_at: DateTimeUtc,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(super) enum Relation {}
}

on_both! {
    async fn a_number_of_a_natural_key_is_not_left_to_the_database(backend: Backend) {
        let pair = Pair::create(backend).await;
        let unnumbered = || membership::ActiveModel { group: Set("choir".to_owned()), role: Set("alto".to_owned()), ..Default::default() };
        let refused = unnumbered().insert(&pair.a.db).await.expect_err("no key").to_string();
        assert!(refused.contains("`membership.member` is a part of a composite key, so that its number must be given"), "{refused}");
        // The derive takes none for such a key.
        assert!(!refused.contains("keys ="), "{refused}");
        let refused = jsb_runtime::skip_publish(unnumbered().insert(&pair.a.db)).await.expect_err("no key").to_string();
        assert!(refused.contains("its number must be given"), "{refused}");
    }

    /// By a default of its column's it could be that of a row that was deleted, whose tombstone nobody has looked for.
    async fn a_text_of_a_natural_key_is_not_left_to_the_database(backend: Backend) {
        let app = Pair::create(backend).await.a;
        let nameless = || label::ActiveModel { caption: Set("X".to_owned()), ..Default::default() };
        let refused = [nameless().insert(&app.db).await, jsb_runtime::skip_publish(nameless().insert(&app.db)).await];
        for refused in refused.map(|saved| saved.expect_err("no key").to_string()) {
            assert!(refused.contains("`label.code` is declared a natural key"), "{refused}");
            assert!(refused.contains("its value must be given"), "{refused}");
        }
        assert_eq!(app.recorded().await.len(), 0);
    }

    async fn an_update_without_its_key_leaves_its_transaction_as_it_was(backend: Backend) {
        let app = Pair::create(backend).await.a;
        let txn = app.db.begin().await.expect("a transaction");
        let refused = organization::new("nobody.example").update(&txn).await.expect_err("no key");
        assert!(matches!(refused, DbErr::PrimaryKeyNotSet { .. }), "{refused}");
        organization::new("acme.example").insert(&txn).await.expect("a save");
        txn.commit().await.expect("a commit");
        assert_eq!(app.recorded().await.len(), 1);
    }

    async fn an_insert_that_a_trigger_skips_leaves_its_transaction_as_it_was(backend: Backend) {
        let app = Pair::create(backend).await.a;
        let trigger = match backend {
            Backend::Postgres => {
                "CREATE FUNCTION skip_row() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$; \
                 CREATE TRIGGER skip_row BEFORE INSERT ON tallies \
                 FOR EACH ROW WHEN (NEW.value < 0) EXECUTE FUNCTION skip_row()"
            }
            Backend::Sqlite => {
                "CREATE TRIGGER skip_row BEFORE INSERT ON tallies WHEN NEW.value < 0 BEGIN SELECT RAISE(IGNORE); END"
            }
        };
        app.sql(trigger).await;
        let txn = app.db.begin().await.expect("a transaction");
        let skipped = tally::new(-1).insert(&txn).await.expect_err("no row");
        assert!(matches!(skipped, DbErr::RecordNotFound(_)), "{skipped}");
        tally::new(1).insert(&txn).await.expect("a save");
        txn.commit().await.expect("a commit");
        assert_eq!(app.texts("SELECT CAST(value AS text) FROM tallies").await, ["1"]);
        assert_eq!(app.recorded().await.len(), 1);
    }
}

/// SQLite keeps enums as texts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_whose_key_is_an_enum_are_applied_together() {
    let mut pair = Pair::create(Backend::Postgres).await;
    let table = "CREATE TABLE quotas (size size PRIMARY KEY, most bigint NOT NULL, updated_at timestamptz NOT NULL)";
    pair.b.sql(table).await;
    pair.b.start().await;
    pair.b.stop().await;
    let event = |event_type: &str, number: usize| {
        let size = if number.is_multiple_of(2) { "small" } else { "very large" };
        let updated_at = format!("2026-01-01T00:{:02}:{:02}Z", number / 60, number % 60);
        Remote::event("quota", event_type, size, json!({"size": size, "most": number, "updated_at": updated_at}))
    };
    let mut events: Vec<_> = (0..100).map(|number| event("updated", number)).collect();
    events.push(event("deleted", 100));
    Remote::of(&pair.b).await.publish_all(&events).await;
    pair.b.start().await;
    pair.b.has_settled(101).await;
    let rows = quota::Entity::find().all(&pair.b.db).await.expect("the quotas");
    assert_eq!(rows.iter().map(|row| (row.size, row.most)).collect::<Vec<_>>(), [(Size::Large, 99)]);
    let times = pair.b.texts("SELECT DISTINCT received_at::text FROM inbox_events").await;
    assert!(times.len() < 20, "{} transactions for 101 events", times.len());
    pair.b.stop().await;
}
