//! Keys that the database completes, or writes in another way than the application.

use jsb_tests::entities::membership;
use sea_orm::ActiveValue::Set;
use sea_orm::{IntoActiveModel, TransactionTrait};

use super::pair;

/// A document, by its tenant and a number that the database draws.
mod document {
    use jsb_runtime::prelude::*;
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Syncable)]
    #[sea_orm(table_name = "documents")]
    #[syncable(resource = "document")]
    pub(super) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub tenant: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub number: Uuid,
        pub updated_at: DateTimeUtc,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(super) enum Relation {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_reads_as_the_hooks_write_it() {
    let mut pair = pair().await;
    pair.a.stop().await;
    for group in ["plain", "with/slash", "100%2F", "é\u{1F980} ", "'; --"] {
        let row = membership::ActiveModel {
            group: Set(group.to_owned()),
            member: Set(-1),
            role: Set("guest".to_owned()),
            ..Default::default()
        };
        let saved = row.insert(&pair.a.db).await.expect("a save at once");
        let mut change = saved.into_active_model();
        change.role = Set("host".to_owned());
        let txn = pair.a.db.begin().await.expect("a transaction");
        change.update(&txn).await.expect("a save by the hooks");
        txn.commit().await.expect("a commit");
        let ids: Vec<_> =
            pair.a.recorded().await.into_iter().rev().take(2).map(|mut event| event["resource_id"].take()).collect();
        assert_eq!(ids[0], ids[1]);
    }
    pair.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_the_database_completes_is_one_that_the_other_side_can_keep_or_is_refused() {
    let mut pair = pair().await;
    pair.a.stop().await;
    let table = "CREATE TABLE documents (tenant text, number uuid DEFAULT gen_random_uuid(), \
                 updated_at timestamptz NOT NULL, PRIMARY KEY (tenant, number))";
    pair.a.sql(table).await;
    let document = |bytes| document::ActiveModel { tenant: Set("x".repeat(bytes)), ..Default::default() };
    document(475).insert(&pair.a.db).await.expect("the longest key");
    let at_once =
        "SELECT d.tenant FROM documents d JOIN outbox_events o ON d.xmin = o.xmin AND d.cmin::text = o.cmin::text";
    assert_eq!(pair.a.texts(at_once).await.len(), 1);
    let refused = document(476).insert(&pair.a.db).await.expect_err("a longer key").to_string();
    assert!(refused.contains("`resource_id` is longer"), "{refused}");
    assert_eq!(pair.a.texts("SELECT length(tenant)::text FROM documents").await, ["475"]);
    assert_eq!(pair.a.recorded().await.len(), 1);
    pair.stop().await;
}
