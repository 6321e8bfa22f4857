//! What travels is what the database has made of the row.

use jsb_tests::entities::organization;
use jsb_tests::entities::parcel::{self, Address, Items};
use sea_orm::ActiveValue::{Set, Unchanged};
use sea_orm::{IntoActiveModel, TransactionTrait};
use serde_json::json;
use uuid::Uuid;

use super::{newest, pair, tally, written_at_once};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_save_on_the_pool_is_one_statement() {
    let mut pair = pair().await;
    // The relay would write the events anew.
    pair.a.stop().await;
    let row = organization::new("acme.example").insert(&pair.a.db).await.expect("a key that the database draws");
    assert_eq!(written_at_once(&pair.a, "organizations").await, 1);
    assert_eq!(newest(&pair.a).await["id"], row.id);
    let mut change = row.into_active_model();
    change.name = Set("Acme \"Corp\" é".to_owned());
    let row = change.update(&pair.a.db).await.expect("an update");
    assert_eq!((row.name.as_str(), row.domain.as_str()), ("Acme \"Corp\" é", "acme.example"));
    assert_eq!(written_at_once(&pair.a, "organizations").await, 1);

    tally(1).insert(&pair.a.db).await.expect("a key of the caller's");
    assert_eq!(written_at_once(&pair.a, "tallies").await, 1);
    pair.a.start().await;
    assert_eq!(pair.agree::<organization::Entity>().await.len(), 1);
    assert_eq!(pair.agree_now::<tally::Entity>().await.len(), 1);
    pair.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_copy_of_a_row_is_not_what_travels() {
    let mut pair = pair().await;
    pair.a.stop().await;
    let old = tally(1).insert(&pair.a.db).await.expect("a tally");
    let mut change = old.clone().into_active_model();
    change.remark = Set("published".to_owned());
    let newer = change.update(&pair.a.db).await.expect("an update");
    let mut change = old.into_active_model();
    change.value = Set(2);
    let saved = change.update(&pair.a.db).await.expect("an update of the old copy");
    assert_eq!((saved.value, saved.remark.as_str()), (2, "published"));
    assert!(saved.updated_at > newer.updated_at);
    assert_eq!(newest(&pair.a).await["remark"], "published");

    let mut silent = saved.clone().into_active_model();
    silent.remark = Set("silent".to_owned());
    jsb_runtime::skip_publish(silent.update(&pair.a.db)).await.expect("a save that keeps the version");
    let mut change = saved.into_active_model();
    change.value = Set(3);
    change.update(&pair.a.db).await.expect("an update of the old copy");
    assert_eq!(newest(&pair.a).await["remark"], "silent");

    let unread = tally::ActiveModel { id: Unchanged(newer.id), value: Set(4), ..Default::default() };
    let saved = unread.update(&pair.a.db).await.expect("an update of a row that was not read");
    assert_eq!((saved.value, saved.remark.as_str()), (4, "silent"));
    assert_eq!(newest(&pair.a).await["remark"], "silent");
    assert_eq!(written_at_once(&pair.a, "tallies").await, 1);
    pair.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_database_makes_of_a_row_is_what_travels() {
    let pair = pair().await;
    let trigger = "CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS \
                   $$ BEGIN NEW.remark = upper(NEW.remark); RETURN NEW; END $$; \
                   CREATE TRIGGER shout BEFORE INSERT OR UPDATE ON tallies FOR EACH ROW EXECUTE FUNCTION shout()";
    pair.a.sql(trigger).await;
    for value in 1..=2 {
        let saved = tally(value).insert(&pair.a.db).await.expect("a tally");
        assert_eq!(saved.remark, "NEW");
        assert_eq!(newest(&pair.a).await["remark"], "NEW");
    }
    assert_eq!(pair.a.recorded().await.len(), 2);
    pair.agree::<tally::Entity>().await;
    pair.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_trigger_makes_of_json_travels_by_the_hooks_too() {
    let pair = pair().await;
    let trigger = "CREATE FUNCTION add_zip() RETURNS trigger LANGUAGE plpgsql AS \
                   $$ BEGIN NEW.address = NEW.address || '{\"zip\": \"89073\"}'; RETURN NEW; END $$; \
                   CREATE TRIGGER add_zip BEFORE INSERT OR UPDATE ON parcels FOR EACH ROW EXECUTE FUNCTION add_zip()";
    pair.a.sql(trigger).await;
    let to = |town: &str| Set(Address { town: town.to_owned() });
    let row = parcel::ActiveModel {
        id: Set(Uuid::now_v7()),
        address: to("Ulm"),
        items: Set(Items(Vec::new())),
        ..Default::default()
    };
    let txn = pair.a.db.begin().await.expect("a transaction");
    let row = row.insert(&txn).await.expect("a parcel");
    let change = parcel::ActiveModel { id: Unchanged(row.id), address: to("Neu-Ulm"), ..Default::default() };
    change.update(&txn).await.expect("an update");
    txn.commit().await.expect("a commit");
    let sent: Vec<_> =
        pair.a.recorded().await.into_iter().map(|mut event| event["payload"]["address"].take()).collect();
    assert_eq!(sent, ["Ulm", "Neu-Ulm"].map(|town| json!({"town": town, "zip": "89073"})));
    pair.stop().await;
}
