//! Values of every type, keys of every kind and versions of every type arrive as they were saved, whatever the databases.

use std::fmt::Debug;

use jsb_tests::entities::parcel::{self, Address, Item, Items};
use jsb_tests::entities::{gap, label, membership, specimen, versioned};
use jsb_tests::{App, Backend, Pair, Remote};
use rust_decimal::Decimal;
use sea_orm::ActiveValue::{Set, Unchanged};
use sea_orm::{
    ActiveModelTrait, DatabaseTransaction, DbBackend, EntityTrait, IntoActiveModel, SqliteTransactionMode,
    TransactionOptions, TransactionTrait,
};
use serde_json::{Value as Json, json};
use uuid::Uuid;

use crate::samples;

/// Waits until the pair is quiet and finds both sides equal; gives back what they hold.
async fn equal<E: EntityTrait<Model: PartialEq + Debug>>(pair: &Pair) -> Vec<E::Model> {
    pair.quiet().await;
    let (a, b) = pair.rows::<E>().await;
    assert_eq!(a, b);
    a
}

/// What arrives is what was saved, and what was saved is what was asked for.
async fn specimens_travel(pair: &mut Pair) {
    pair.start_both().await;
    let (first, second) = (samples::specimen(), samples::specimen());
    let wanted = [first.clone(), second.clone()];
    let first = first.into_active_model().reset_all().insert(&pair.a.db).await.expect("a save on A");
    let second = second.into_active_model().reset_all().insert(&pair.b.db).await.expect("a save on B");
    let found = equal::<specimen::Entity>(pair).await;
    assert_eq!(found, [first.clone(), second.clone()]);
    for (found, wanted) in found.into_iter().zip(wanted) {
        let updated_at = found.updated_at;
        assert_eq!(found, specimen::Model { updated_at, ..wanted });
    }

    // The other side changes every column.
    let mut change = samples::specimen().into_active_model().reset_all();
    change.id = Unchanged(first.id);
    change.double = Set(-0.0);
    change.text = Set(String::new());
    change.bytes = Set(Vec::new());
    change.json = Set(Json::Null);
    change.mood = Set(specimen::Mood::Sad);
    // To more places than the column has.
    change.decimal = Set(Decimal::new(-1_234_565, 5));
    let changed = change.update(&pair.b.db).await.expect("an update on B");
    assert_eq!(changed.json, Json::Null);
    assert_eq!(changed.decimal, Decimal::new(-123_457, 4));
    assert_eq!(equal::<specimen::Entity>(pair).await, [changed, second]);
    for app in [&pair.a, &pair.b].into_iter().filter(|app| app.db.get_database_backend() == DbBackend::Sqlite) {
        let zoned = app.texts("SELECT zoned FROM specimens UNION SELECT time_zoned FROM specimens").await;
        assert!(!zoned.iter().any(|text| text.contains("05:45") || text.contains("-03:30")), "{zoned:?}");
    }
}

async fn gaps_travel(pair: &mut Pair) {
    pair.start_both().await;
    let full = samples::full_gap().into_active_model().reset_all().insert(&pair.a.db).await.expect("a save on A");
    let empty = samples::empty_gap().into_active_model().reset_all().insert(&pair.b.db).await.expect("a save on B");
    assert_eq!(equal::<gap::Entity>(pair).await, [full.clone(), empty.clone()]);
    let emptied = gap::Model { id: full.id, ..samples::empty_gap() }.into_active_model().reset_all();
    let filled = gap::Model { id: empty.id, ..samples::full_gap() }.into_active_model().reset_all();
    let emptied = emptied.update(&pair.b.db).await.expect("an update on B");
    let filled = filled.update(&pair.a.db).await.expect("an update on A");
    let found = equal::<gap::Entity>(pair).await;
    assert_eq!(found, [emptied, filled]);
    assert_eq!((&found[0].json, found[1].json.is_some()), (&None, true));
}

/// Starts B for what A has saved, and finds that it came together.
async fn arrive_together(pair: &mut Pair, events: i64) {
    pair.a.has_sent(events).await;
    pair.b.start().await;
    pair.b.has_settled(events.unsigned_abs()).await;
    pair.b.stop().await;
    let (a, b) = pair.rows::<gap::Entity>().await;
    assert_eq!(a, b);
}

async fn rows_travel_together(pair: &mut Pair) {
    pair.start_both().await;
    pair.b.stop().await;
    for row in [samples::specimen(), specimen::Model { mood: specimen::Mood::Sad, ..samples::specimen() }] {
        row.into_active_model().reset_all().insert(&pair.a.db).await.expect("a specimen");
    }
    let ids = [Uuid::now_v7(), Uuid::now_v7(), Uuid::now_v7()];
    let json_null = gap::Model { json: Some(Json::Null), ..samples::empty_gap() };
    for (id, row) in ids.into_iter().zip([samples::full_gap(), samples::empty_gap(), json_null]) {
        gap::Model { id, ..row }.into_active_model().reset_all().insert(&pair.a.db).await.expect("a gap");
    }
    arrive_together(pair, 5).await;

    for row in pair.rows::<specimen::Entity>().await.0 {
        let mut change = row.into_active_model().reset_all();
        (change.bytes, change.size) = (Set(Vec::new()), Set(specimen::Size::Small));
        change.shape = Set(specimen::Shape::Round);
        change.update(&pair.a.db).await.expect("an update");
    }
    for (id, row) in ids.into_iter().zip([samples::empty_gap(), samples::full_gap(), samples::full_gap()]) {
        gap::Model { id, ..row }.into_active_model().reset_all().update(&pair.a.db).await.expect("an update");
    }
    arrive_together(pair, 10).await;

    // Nothing but nulls.
    for id in ids {
        let empty = gap::Model { id, ..samples::empty_gap() };
        empty.into_active_model().reset_all().update(&pair.a.db).await.expect("an update");
    }
    arrive_together(pair, 13).await;
    let times = pair.b.texts("SELECT DISTINCT CAST(received_at AS text) FROM inbox_events").await;
    assert_eq!(times.len(), 3, "each time in one transaction");
    pair.b.start().await;
    equal::<specimen::Entity>(pair).await;
    assert_eq!(equal::<gap::Entity>(pair).await.len(), ids.len());
}

async fn json_nulls_travel(pair: &mut Pair) {
    pair.start_both().await;
    let row = gap::Model { json: Some(Json::Null), ..samples::empty_gap() };
    row.into_active_model().reset_all().insert(&pair.a.db).await.expect("a save");
    equal::<gap::Entity>(pair).await;
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
    assert_eq!(equal::<parcel::Entity>(pair).await, std::slice::from_ref(&saved));
    let mut change = saved.into_active_model();
    change.items = Set(Items(Vec::new()));
    let changed = change.update(&pair.b.db).await.expect("an update on B");
    assert_eq!(equal::<parcel::Entity>(pair).await, std::slice::from_ref(&changed));
    changed.delete(&pair.a.db).await.expect("a delete on A");
    assert_eq!(equal::<parcel::Entity>(pair).await, []);
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

/// Where the parcels go, with all members that their rows hold.
pub(crate) async fn stored_addresses(app: &App) -> Vec<Json> {
    let stored = app.texts("SELECT CAST(address AS text) FROM parcels").await;
    stored.iter().map(|text| serde_json::from_str(text).expect("JSON")).collect()
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
        assert_eq!(equal::<gap::Entity>(pair).await, [saved]);

        let mut change = old.clone().into_active_model();
        change.big = Set(Some(number.into()));
        let saved = change.update(&pair.a.db).await.expect("an update of the old copy on the pool");
        assert_eq!((saved.big, &saved.json), (Some(number.into()), &json));
        assert_eq!(equal::<gap::Entity>(pair).await, [saved]);
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
    assert_eq!(equal::<parcel::Entity>(pair).await, [saved]);

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
    equal::<parcel::Entity>(pair).await;
    for app in [&pair.a, &pair.b] {
        assert_eq!(stored_addresses(app).await, vec![json!({"town": "Ulm", "zip": "89073"}); 2]);
    }
}

async fn versions_travel(pair: &mut Pair) {
    pair.start_both().await;
    /// Saves on A, edits on B, saves and deletes again: versions rise and both sides end equal.
    macro_rules! travels {
        ($module:ident) => {{
            use versioned::$module::{ActiveModel, Entity};
            let row = || ActiveModel { id: Set(Uuid::now_v7()), text: Set("one".to_owned()), ..Default::default() };
            let gone = row().insert(&pair.a.db).await.expect("a save");
            let saved = row().insert(&pair.a.db).await.expect("a save");
            equal::<Entity>(pair).await;
            let mut change = saved.clone().into_active_model();
            change.text = Set("two".to_owned());
            let changed = change.update(&pair.b.db).await.expect("an update");
            assert!(changed.changed_at > saved.changed_at);
            gone.delete(&pair.b.db).await.expect("a delete");
            assert_eq!(equal::<Entity>(pair).await, [changed]);
        }};
    }
    travels!(chrono_utc);
    travels!(chrono_zoned);
    travels!(chrono_naive);
    travels!(time_zoned);
    travels!(time_naive);
}

const AWKWARD: [&str; 6] = ["plain", "with/slash", "100%2F", "é\u{1F980} ", "a.b > *", "'; --"];

async fn keys_travel(pair: &mut Pair) {
    pair.start_both().await;
    for (number, text) in (-1..).zip(AWKWARD) {
        let label =
            label::ActiveModel { code: Set(text.to_owned()), caption: Set(text.to_owned()), ..Default::default() };
        label.insert(&pair.a.db).await.expect("a label");
        let member = membership::ActiveModel {
            group: Set(text.to_owned()),
            member: Set(number),
            role: Set("guest".to_owned()),
            ..Default::default()
        };
        member.insert(&pair.a.db).await.expect("a member");
    }
    assert_eq!(equal::<label::Entity>(pair).await.len(), AWKWARD.len());
    for row in equal::<membership::Entity>(pair).await {
        let mut change = row.into_active_model();
        change.role = Set("host".to_owned());
        change.update(&pair.b.db).await.expect("an update on B");
    }
    for row in equal::<membership::Entity>(pair).await {
        assert_eq!(row.role, "host");
        row.delete(&pair.b.db).await.expect("a delete on B");
    }
    for row in equal::<label::Entity>(pair).await {
        row.delete(&pair.b.db).await.expect("a delete on B");
    }
    assert_eq!(equal::<membership::Entity>(pair).await, []);
    assert_eq!(equal::<label::Entity>(pair).await, []);
}

async fn mixed() -> Pair {
    Pair::on(Backend::Postgres, Backend::Sqlite, |config| config).await
}

macro_rules! also_mixed {
    ($($name:ident: $travels:ident;)+) => {
        on_both! {
            $(async fn $name(backend: Backend) {
                let mut pair = Pair::create(backend).await;
                $travels(&mut pair).await;
                pair.stop().await;
            })+
        }

        mod mixed_pair {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                let mut pair = super::mixed().await;
                super::$travels(&mut pair).await;
                pair.stop().await;
            })+
        }
    };
}

also_mixed! {
    values_of_every_type_arrive_as_they_were_saved: specimens_travel;
    values_of_every_type_arrive_together: rows_travel_together;
    nullable_values_arrive_as_they_were_saved: gaps_travel;
    the_json_null_of_a_nullable_column_is_the_same_on_both_sides: json_nulls_travel;
    json_of_a_type_of_one_s_own_arrives_as_it_was_saved: parcels_travel;
    json_keeps_the_members_that_its_type_does_not_know: unknown_members_travel;
    a_save_of_an_old_copy_undoes_no_json_that_others_have_set: json_of_others_stays;
    json_that_a_save_does_not_set_is_sent_as_it_is_stored: unset_json_is_sent_as_it_is_stored;
    json_that_an_insert_does_not_set_is_sent_as_it_is_stored: default_json_is_sent_as_it_is_stored;
    versions_of_every_type_order_rows: versions_travel;
    keys_of_every_kind_name_their_row: keys_travel;
}
