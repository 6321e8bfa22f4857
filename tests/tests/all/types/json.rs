//! JSON, of types of one's own and of none.

use jsb_tests::entities::gap;
use jsb_tests::entities::parcel::{self, Address, Item, Items};
use jsb_tests::{App, Pair, Remote};
use sea_orm::ActiveValue::{Set, Unchanged};
use sea_orm::{
    ActiveModelTrait, DatabaseTransaction, DbBackend, EntityTrait, IntoActiveModel, SqliteTransactionMode,
    TransactionOptions, TransactionTrait,
};
use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::stored_addresses;
use crate::samples;

async fn json_nulls_travel(pair: &mut Pair) {
    pair.start_both().await;
    let row = gap::Model { json: Some(Json::Null), ..samples::empty_gap() };
    row.into_active_model().reset_all().insert(&pair.a.db).await.expect("a save");
    pair.agree::<gap::Entity>().await;
}

async fn parcels_travel(pair: &mut Pair) {
    pair.start_both().await;
    let item = |name: &str| Item { name: name.to_owned() };
    let row = parcel::ActiveModel {
        id: Set(Uuid::now_v7()),
        address: Set(Address { town: "Ulm".to_owned() }),
        items: Set(Items(vec![item("book"), item("pen")])),
        ..Default::default()
    };
    let saved = row.insert(&pair.a.db).await.expect("a save on A");
    assert_eq!(pair.agree::<parcel::Entity>().await, std::slice::from_ref(&saved));
    let mut change = saved.into_active_model();
    change.items = Set(Items(Vec::new()));
    let changed = change.update(&pair.b.db).await.expect("an update on B");
    assert_eq!(pair.agree::<parcel::Entity>().await, std::slice::from_ref(&changed));
    changed.delete(&pair.a.db).await.expect("a delete on A");
    assert_eq!(pair.agree::<parcel::Entity>().await, []);
}

/// Both sides are sent what a newer program makes of a parcel.
async fn unknown_members_travel(pair: &mut Pair) {
    pair.start_both().await;
    let (id, address) = (Uuid::now_v7(), json!({"town": "Ulm", "zip": "89073"}));
    let items = json!([{"name": "book", "pages": 7}, {"pages": 0, "name": "pen"}]);
    let payload = json!({"id": id, "address": address, "items": items, "updated_at": "2020-01-01T00:00:00.000001Z"});
    let event = Remote::event_with_id("newer", "parcel", "created", id, payload);
    for app in [&pair.a, &pair.b] {
        Remote::of(app).await.publish(&event).await;
        app.has_settled(1).await;
        for (column, sent) in [("address", &address), ("items", &items)] {
            let stored = app.texts(&format!("SELECT CAST({column} AS text) FROM parcels")).await;
            let stored: Vec<Json> = stored.iter().map(|text| serde_json::from_str(text).expect("JSON")).collect();
            assert_eq!(stored, std::slice::from_ref(sent));
        }
    }
    // Within a transaction too both sides must hold just the same.
    let txn = pair.a.db.begin().await.expect("a transaction");
    let found = parcel::Entity::find_by_id(id).one(&txn).await.expect("a query").expect("the parcel");
    let mut change = found.into_active_model();
    change.items = Set(Items(Vec::new()));
    change.update(&txn).await.expect("an update on A");
    txn.commit().await.expect("a commit");
    pair.b.has_settled(2).await;
    assert_eq!(stored_address(&pair.a).await, stored_address(&pair.b).await);
}

/// Where the only parcel goes.
async fn stored_address(app: &App) -> Json {
    stored_addresses(app).await.remove(0)
}

/// Gives parcels an address where nobody does, with a member that its type does not know.
async fn address_by_default(app: &App) {
    const ADDRESS: &str = r#"'{"town": "Ulm", "zip": "89073"}'"#;
    let sql = match app.db.get_database_backend() {
        DbBackend::Postgres => format!("ALTER TABLE parcels ALTER address SET DEFAULT {ADDRESS}"),
        _ => format!(
            "DROP TABLE parcels; CREATE TABLE parcels (id uuid PRIMARY KEY, address text NOT NULL DEFAULT {ADDRESS}, \
             items text NOT NULL, updated_at timestamptz NOT NULL)"
        ),
    };
    app.sql(&sql).await;
}

/// A transaction that waits for the bridge's own writes before it reads.
async fn writing(app: &App) -> DatabaseTransaction {
    let sqlite_transaction_mode = Some(SqliteTransactionMode::Immediate);
    let options = TransactionOptions { sqlite_transaction_mode, ..Default::default() };
    app.db.begin_with_options(options).await.expect("a transaction")
}

/// What others have set since a row was read is not undone by who saves that copy.
async fn json_of_others_stays(pair: &mut Pair) {
    pair.start_both().await;
    let old = samples::full_gap().into_active_model().reset_all().insert(&pair.a.db).await.expect("a save on A");
    for (number, json) in (1..).zip([Some(json!({"theme": "dark"})), None, Some(json!([]))]) {
        let edit = gap::ActiveModel { id: Unchanged(old.id), json: Set(json.clone()), ..Default::default() };
        edit.update(&pair.a.db).await.expect("an edit by somebody else");
        let mut change = old.clone().into_active_model();
        change.int = Set(Some(number));
        let txn = writing(&pair.a).await;
        let saved = change.update(&txn).await.expect("an update of the old copy");
        txn.commit().await.expect("a commit");
        assert_eq!((saved.int, &saved.json), (Some(number), &json));
        assert_eq!(pair.agree::<gap::Entity>().await, [saved]);

        let mut change = old.clone().into_active_model();
        change.big = Set(Some(number.into()));
        let saved = change.update(&pair.a.db).await.expect("an update of the old copy on the pool");
        assert_eq!((saved.big, &saved.json), (Some(number.into()), &json));
        assert_eq!(pair.agree::<gap::Entity>().await, [saved]);
    }
}

async fn unset_json_is_sent_as_it_is_stored(pair: &mut Pair) {
    pair.start_both().await;
    let town = |name: &str| Set(Address { town: name.to_owned() });
    let row = parcel::ActiveModel {
        id: Set(Uuid::now_v7()),
        address: town("Ulm"),
        items: Set(Items(vec![Item { name: "book".to_owned() }])),
        ..Default::default()
    };
    let old = row.insert(&pair.a.db).await.expect("a save on A");
    let edit = parcel::ActiveModel { id: Unchanged(old.id), address: town("Bonn"), ..Default::default() };
    edit.update(&pair.a.db).await.expect("an edit by somebody else");
    let mut change = old.clone().into_active_model();
    change.items = Set(Items(Vec::new()));
    let txn = writing(&pair.a).await;
    let saved = change.update(&txn).await.expect("an update of the old copy");
    txn.commit().await.expect("a commit");
    assert_eq!(saved.address.town, "Bonn");
    assert_eq!(pair.agree::<parcel::Entity>().await, [saved]);

    // Of a row that was not read, with a member that its type does not know.
    pair.a.sql(r#"UPDATE parcels SET address = '{"town": "Kiel", "zip": "24103"}'"#).await;
    let change = parcel::ActiveModel { id: Unchanged(old.id), items: Set(old.items), ..Default::default() };
    let txn = writing(&pair.a).await;
    change.update(&txn).await.expect("an update");
    txn.commit().await.expect("a commit");
    pair.quiet().await;
    let sent = stored_address(&pair.b).await;
    assert_eq!((&sent["town"], &sent), (&json!("Kiel"), &stored_address(&pair.a).await));
}

async fn default_json_is_sent_as_it_is_stored(pair: &mut Pair) {
    address_by_default(&pair.a).await;
    pair.start_both().await;
    let parcel =
        || parcel::ActiveModel { id: Set(Uuid::now_v7()), items: Set(Items(Vec::new())), ..Default::default() };
    parcel().insert(&pair.a.db).await.expect("a save on the pool");
    let txn = writing(&pair.a).await;
    parcel().insert(&txn).await.expect("a save in a transaction");
    txn.commit().await.expect("a commit");
    pair.agree::<parcel::Entity>().await;
    for app in [&pair.a, &pair.b] {
        assert_eq!(stored_addresses(app).await, vec![json!({"town": "Ulm", "zip": "89073"}); 2]);
    }
}

also_mixed! {
    the_json_null_of_a_nullable_column_is_the_same_on_both_sides: json_nulls_travel;
    json_of_a_type_of_one_s_own_arrives_as_it_was_saved: parcels_travel;
    json_keeps_the_members_that_its_type_does_not_know: unknown_members_travel;
    a_save_of_an_old_copy_undoes_no_json_that_others_have_set: json_of_others_stays;
    json_that_a_save_does_not_set_is_sent_as_it_is_stored: unset_json_is_sent_as_it_is_stored;
    json_that_an_insert_does_not_set_is_sent_as_it_is_stored: default_json_is_sent_as_it_is_stored;
}
