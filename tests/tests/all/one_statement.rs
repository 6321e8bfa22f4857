//! On PostgreSQL a save is one statement where it can be. What keeps it from that comes to the same in more of them.

use std::time::Duration;

use futures_util::future::join_all;
use jsb_runtime::Role;
use jsb_tests::entities::parcel::{self, Address, Items};
use jsb_tests::entities::{gap, label, membership, organization, specimen, tally};
use jsb_tests::{App, Backend, Pair};
use sea_orm::ActiveValue::{NotSet, Set, Unchanged};
use sea_orm::{
    ActiveModelTrait, DatabaseConnection, EntityTrait, IdenStatic, IntoActiveModel, Iterable, SqlErr, TransactionTrait,
    TryIntoModel,
};
use serde_json::{Value as Json, json};
use uuid::Uuid;

use crate::capture::time_to_send;
use crate::samples;

/// A ticket whose number the application reads and writes as a text.
mod ticket {
    use jsb_runtime::prelude::*;
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Syncable)]
    #[sea_orm(table_name = "tickets")]
    #[syncable(resource = "worded_ticket")]
    pub(super) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        #[sea_orm(select_as = "text", save_as = "bigint")]
        pub number: String,
        pub updated_at: DateTimeUtc,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(super) enum Relation {}
}

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

/// A row of more values than PostgreSQL's functions take at once, one of which has a name that is a pattern to them.
mod wide {
    use jsb_runtime::prelude::*;
    use sea_orm::entity::prelude::*;

    macro_rules! with_columns {
        ($($column:ident)*) => {
            #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Syncable)]
            #[sea_orm(table_name = "wides")]
            #[syncable(resource = "wide")]
            pub(super) struct Model {
                #[sea_orm(primary_key, auto_increment = false)]
                pub id: Uuid,
                #[sea_orm(column_name = "50%s")]
                pub half: i32,
                $(pub $column: i32,)*
                pub updated_at: DateTimeUtc,
            }
        };
    }

    with_columns! {
        c00 c01 c02 c03 c04 c05 c06 c07 c08 c09 c10 c11 c12 c13 c14 c15 c16 c17 c18 c19 c20 c21 c22 c23 c24
        c25 c26 c27 c28 c29 c30 c31 c32 c33 c34 c35 c36 c37 c38 c39 c40 c41 c42 c43 c44 c45 c46 c47 c48 c49
        c50 c51 c52 c53 c54 c55 c56 c57 c58 c59 c60 c61 c62 c63 c64 c65 c66 c67 c68 c69 c70 c71 c72 c73 c74
        c75 c76 c77 c78 c79 c80 c81 c82 c83 c84 c85 c86 c87 c88 c89 c90 c91 c92 c93 c94 c95 c96 c97 c98 c99
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(super) enum Relation {}
}

fn tally(value: i64) -> tally::ActiveModel {
    tally::ActiveModel { remark: Set("new".to_owned()), ..tally::new(value) }
}

/// The rows of a table as one statement has left them, together with their event.
async fn written_at_once(app: &App, table: &str) -> usize {
    let same_command = "t.id::text = o.resource_id AND t.xmin = o.xmin AND t.cmin::text = o.cmin::text";
    let sql = format!("SELECT t.id::text FROM {table} t JOIN outbox_events o ON {same_command}");
    app.texts(&sql).await.len()
}

/// The payload of the newest event.
async fn newest(app: &App) -> Json {
    app.recorded().await.pop().expect("an event")["payload"].take()
}

/// The versions of all events, in their order.
async fn versions(app: &App) -> Vec<String> {
    let version = |event: Json| event["payload"]["updated_at"].as_str().expect("a time").to_owned();
    app.recorded().await.into_iter().map(version).collect()
}

async fn pair() -> Pair {
    Pair::start(Backend::Postgres).await
}

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
    pair.quiet().await;
    let (a, b) = pair.rows::<organization::Entity>().await;
    assert_eq!((a.len(), &a), (1, &b));
    let (a, b) = pair.rows::<tally::Entity>().await;
    assert_eq!((a.len(), &a), (1, &b));
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
    pair.quiet().await;
    let (a, b) = pair.rows::<tally::Entity>().await;
    assert_eq!(a, b);
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

/// Saves a row at once and then by the hooks, and finds that both say the same of it.
macro_rules! says_the_same {
    ($pair:ident, $module:ident, $row:expr) => {{
        let saved = $row.into_active_model().reset_all().insert(&$pair.a.db).await.expect("a save at once");
        assert_eq!(written_at_once(&$pair.a, concat!(stringify!($module), "s")).await, 1);
        let mut at_once = newest(&$pair.a).await;
        assert_eq!(at_once["updated_at"], json!(saved.updated_at.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()));
        let txn = $pair.a.db.begin().await.expect("a transaction");
        let again = saved.clone().into_active_model().reset_all().update(&txn).await.expect("a save by the hooks");
        txn.commit().await.expect("a commit");
        assert_eq!($module::Model { updated_at: saved.updated_at, ..again }, saved);
        let by_the_hooks = newest(&$pair.a).await;
        at_once["updated_at"] = by_the_hooks["updated_at"].clone();
        assert_eq!(at_once, by_the_hooks);
    }};
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgresql_writes_every_type_as_the_hooks_do() {
    let mut pair = pair().await;
    pair.a.stop().await;
    says_the_same!(pair, specimen, samples::specimen());
    says_the_same!(pair, gap, samples::full_gap());
    says_the_same!(pair, gap, samples::empty_gap());
    let number = "7".to_owned();
    says_the_same!(pair, ticket, ticket::Model { id: Uuid::now_v7(), number, updated_at: chrono::Utc::now() });
    for (single, double) in [(2.0, -0.0), (f32::MAX, f64::MAX), (f32::MIN_POSITIVE, 5e-324), (16_777_216.0, 1e21)] {
        let id = Uuid::now_v7();
        says_the_same!(
            pair,
            gap,
            gap::Model { id, single: Some(single), double: Some(double), ..samples::empty_gap() }
        );
    }
    for text in ["", "null", "\u{1}\u{8}\t\u{7f}\u{2028}", "</script>", "{}'\"\\%$1"] {
        let json = json!({text: [text, {}, 1e300, 0.1]});
        let (bytes, text) = (text.repeat(100).into_bytes(), text.to_owned());
        let id = Uuid::now_v7();
        let row = gap::Model { id, text: Some(text), bytes: Some(bytes), json: Some(json), ..samples::empty_gap() };
        says_the_same!(pair, gap, row);
    }
    pair.stop().await;
}

/// Lists within one another, so many levels of them.
fn nested(levels: usize) -> Json {
    (1..levels).fold(json!([]), |inner, _| json!([inner]))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn json_of_many_brackets_is_written_at_once_and_refused_where_it_is_nested_too_deep() {
    for kind in ["jsonb", "json"] {
        let mut pair = pair().await;
        pair.a.stop().await;
        pair.a.sql(&format!("ALTER TABLE gaps ALTER json TYPE {kind}")).await;
        let wide = vec![json!({}); 200];
        let deep = |levels| Some(json!({"deep": nested(levels), "wide": wide}));
        for json in [Some(json!(wide)), Some(json!("[".repeat(200))), deep(119)] {
            says_the_same!(pair, gap, gap::Model { json, ..samples::empty_gap() });
        }
        let deeper = gap::Model { json: deep(120), ..samples::empty_gap() };
        let refused = deeper.into_active_model().reset_all().insert(&pair.a.db).await.expect_err("a level too many");
        assert!(refused.to_string().contains("nested deeper than 120 levels"), "{refused}");
        assert_eq!(pair.a.recorded().await.len(), 6);
        pair.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_of_more_columns_than_a_function_takes_is_written_at_once() {
    let mut pair = pair().await;
    pair.a.stop().await;
    let columns = wide::Column::iter().map(|column| match column {
        wide::Column::Id => "id uuid PRIMARY KEY".to_owned(),
        wide::Column::UpdatedAt => "updated_at timestamptz NOT NULL".to_owned(),
        number => format!("\"{}\" integer NOT NULL", number.as_str()),
    });
    pair.a.sql(&format!("CREATE TABLE wides ({})", columns.collect::<Vec<_>>().join(", "))).await;
    let mut row = wide::ActiveModel { id: Set(Uuid::now_v7()), ..Default::default() };
    for (number, column) in (0_i32..).zip(wide::Column::iter()) {
        if !matches!(column, wide::Column::Id | wide::Column::UpdatedAt) {
            row.set(column, number.into());
        }
    }
    row.set(wide::Column::UpdatedAt, chrono::Utc::now().into());
    says_the_same!(pair, wide, row.try_into_model().expect("a row"));
    assert_eq!(newest(&pair.a).await["50%s"], 1);
    pair.stop().await;
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

    pair.a.sql("ALTER TABLE labels ALTER code SET DEFAULT ''").await;
    let nameless = label::ActiveModel { caption: Set("X".to_owned()), ..Default::default() };
    let refused = nameless.insert(&pair.a.db).await.expect_err("an empty key").to_string();
    assert!(refused.contains("is empty"), "{refused}");
    assert_eq!(pair.a.texts("SELECT code FROM labels").await, [""; 0]);
    assert_eq!(pair.a.recorded().await.len(), 1);
    pair.stop().await;
}

/// Leaves in every specimen, and by itself in new ones, what the entity cannot read; the database draws keys that are not given.
async fn forget_moods(app: &App) {
    app.sql(
        "UPDATE specimens SET mood = 'neither'; \
         ALTER TABLE specimens ALTER mood SET DEFAULT 'neither', ALTER id SET DEFAULT gen_random_uuid()",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_save_that_stands_though_its_row_cannot_be_read_back_says_so() {
    let pair = pair().await;
    let row = samples::specimen().into_active_model().reset_all().insert(&pair.a.db).await.expect("a save");
    forget_moods(&pair.a).await;
    let moodless = |text: &str| specimen::ActiveModel {
        mood: NotSet,
        text: Set(text.to_owned()),
        ..samples::specimen().into_active_model().reset_all()
    };
    let change = specimen::ActiveModel { id: Unchanged(row.id), text: Set("changed".to_owned()), ..Default::default() };
    let drawn = specimen::ActiveModel { id: NotSet, ..moodless("new") };
    for unread in [change.update(&pair.a.db).await, drawn.insert(&pair.a.db).await] {
        let unread = unread.expect_err("a mood that the entity does not know").to_string();
        for part in ["the `specimen` is saved and its event recorded", "neither"] {
            assert!(unread.contains(part), "{unread}");
        }
    }

    // The lock of its key has a transaction.
    let given = moodless("given").insert(&pair.a.db).await.expect_err("a mood that the entity does not know");
    assert!(!given.to_string().contains("is saved"), "{given}");
    let txn = pair.a.db.begin().await.expect("a transaction");
    let drawn = specimen::ActiveModel { id: NotSet, ..moodless("in a transaction") };
    drawn.insert(&txn).await.expect_err("a mood that the entity does not know");
    // A transaction that failed may fail to commit: what counts is what it leaves.
    let _ = txn.commit().await;

    assert_eq!(pair.a.texts("SELECT text FROM specimens ORDER BY text").await, ["changed", "new"]);
    let types: Vec<_> = pair.a.recorded().await.into_iter().map(|mut event| event["event_type"].take()).collect();
    assert_eq!(types, ["created", "updated", "created"]);
    pair.a.has_sent(3).await;
    pair.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_save_whose_row_cannot_be_read_back_wakes_the_relay() {
    let mut app = Pair::configured(Backend::Postgres, |config| config.roles([Role::Relay])).await.a;
    app.start().await;
    let id = samples::specimen().into_active_model().reset_all().insert(&app.db).await.expect("a save").id;
    forget_moods(&app).await;
    let save = async |value| {
        let change = specimen::ActiveModel { id: Unchanged(id), big: Set(value), ..Default::default() };
        change.update(&app.db).await.expect_err("a mood that the entity does not know");
    };
    let wait = time_to_send(&app, save).await;
    assert!(wait < Duration::from_secs(1), "{wait:?}");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_null_in_json_becomes_the_one_that_travels() {
    let pair = pair().await;
    let row = samples::full_gap().into_active_model().reset_all().insert(&pair.a.db).await.expect("a save");
    pair.quiet().await;
    for app in [&pair.a, &pair.b] {
        // As SeaORM writes it without JSB.
        app.sql("UPDATE gaps SET json = 'null'").await;
    }
    let change = gap::ActiveModel { id: Unchanged(row.id), flag: Set(Some(false)), ..Default::default() };
    let saved = change.update(&pair.a.db).await.expect("an update");
    assert_eq!((saved.json, saved.flag), (None, Some(false)));
    pair.quiet().await;
    let (a, b) = pair.rows::<gap::Entity>().await;
    assert_eq!((a[0].json.as_ref(), &a), (None, &b));
    pair.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_without_a_form_on_the_wire_is_refused_with_its_reason() {
    let pair = pair().await;
    let row = samples::empty_gap().into_active_model().reset_all().insert(&pair.a.db).await.expect("a row");
    for (column, value, reason) in
        [("double", "'NaN'", "NaN has no form in JSON"), ("utc", "'20000-01-01'", "has no form on the wire")]
    {
        pair.a.sql(&format!("UPDATE gaps SET \"{column}\" = {value}")).await;
        let change = gap::ActiveModel { id: Unchanged(row.id), flag: Set(Some(true)), ..Default::default() };
        let refused = change.update(&pair.a.db).await.expect_err("a value that cannot travel");
        assert!(refused.to_string().contains(reason), "{refused}");
        pair.a.sql(&format!("UPDATE gaps SET \"{column}\" = NULL")).await;
    }
    assert_eq!(pair.a.texts("SELECT id::text FROM gaps WHERE flag IS NOT NULL").await, [""; 0]);
    assert_eq!(pair.a.recorded().await.len(), 1);
    pair.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_without_a_form_on_the_wire_can_be_deleted() {
    let pair = pair().await;
    let deep = format!("'{}{}'", "[".repeat(121), "]".repeat(121));
    for (column, value) in [("double", "'NaN'"), ("utc", "'20000-01-01'"), ("json", deep.as_str())] {
        let row = samples::empty_gap().into_active_model().reset_all().insert(&pair.a.db).await.expect("a row");
        pair.quiet().await;
        assert_eq!(pair.rows::<gap::Entity>().await.1.len(), 1);
        pair.a.sql(&format!("UPDATE gaps SET \"{column}\" = {value}")).await;
        row.delete(&pair.a.db).await.expect("a delete");
        let said = newest(&pair.a).await;
        let said = said.as_object().expect("an object");
        assert!(
            !said.contains_key(column) && ["id", "text", "updated_at"].iter().all(|name| said.contains_key(*name)),
            "{said:?}"
        );
        pair.quiet().await;
        assert_eq!(pair.rows::<gap::Entity>().await, (vec![], vec![]));
    }
    pair.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_save_goes_above_a_version_that_is_ahead_but_not_by_a_year() {
    let pair = pair().await;
    let row = tally(1).insert(&pair.a.db).await.expect("a tally");
    let update = async |value| {
        let change = tally::ActiveModel { id: Unchanged(row.id), value: Set(value), ..Default::default() };
        change.update(&pair.a.db).await
    };
    pair.a.sql("UPDATE tallies SET updated_at = now() + interval '364 days'").await;
    let ahead = tally::Entity::find_by_id(row.id).one(&pair.a.db).await.expect("a read").expect("the row").updated_at;
    let saved = update(2).await.expect("an update");
    assert_eq!(saved.updated_at, ahead + chrono::TimeDelta::microseconds(1));
    pair.a.sql("UPDATE tallies SET updated_at = now() + interval '366 days'").await;
    let refused = update(3).await.expect_err("a version that no save can go above");
    assert!(refused.to_string().contains("more than a year ahead"), "{refused}");
    pair.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_was_deleted_comes_back_above_its_tombstone() {
    let pair = pair().await;
    let row = tally(1).insert(&pair.a.db).await.expect("a tally");
    let ahead = chrono::TimeDelta::hours(1);
    jsb_runtime::testing::skewed(ahead, row.clone().delete(&pair.a.db)).await.expect("a delete");
    let again = tally::ActiveModel { id: Set(row.id), ..tally(2) };
    let again = again.insert(&pair.a.db).await.expect("a new row");
    assert!(again.updated_at > chrono::Utc::now() + ahead / 2, "{again:?}");
    pair.quiet().await;
    let (a, b) = pair.rows::<tally::Entity>().await;
    assert_eq!((a.len(), &a), (1, &b));
    pair.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_value_that_is_taken_is_refused_as_ever() {
    let pair = pair().await;
    organization::new("acme.example").insert(&pair.a.db).await.expect("an organization");
    let refused = organization::new("acme.example").insert(&pair.a.db).await.expect_err("a value that is taken");
    assert!(matches!(refused.sql_err(), Some(SqlErr::UniqueConstraintViolation(_))), "{refused}");
    assert_eq!(pair.a.recorded().await.len(), 1);
    pair.stop().await;
}

/// Reads the row and counts it up, until it was the one who did.
async fn count_up(id: Uuid, db: DatabaseConnection) {
    for _ in 0..25 {
        let row = tally::Entity::find_by_id(id).one(&db).await.expect("a read").expect("the tally");
        let value = Set(row.value + 1);
        let mut change = row.into_active_model();
        change.value = value;
        change.update(&db).await.expect("an update");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_of_a_row_that_many_save_at_once_are_in_the_order_of_its_versions() {
    let pair = pair().await;
    let id = tally(0).insert(&pair.a.db).await.expect("a tally").id;
    let writers = (0..6).map(|_| tokio::spawn(count_up(id, pair.a.db.clone())));
    join_all(writers).await.into_iter().for_each(|writer| writer.expect("a writer"));
    let versions = versions(&pair.a).await;
    assert_eq!(versions.len(), 151);
    assert!(versions.is_sorted_by(|one, next| one < next), "{versions:?}");
    pair.quiet().await;
    let (a, b) = pair.rows::<tally::Entity>().await;
    assert_eq!(a, b);
    pair.stop().await;
}

/// Updates the row again and again; how often it was not refused.
async fn update_often(id: Uuid, db: DatabaseConnection) -> usize {
    let mut saved = 0;
    for value in 1..=25 {
        let change = tally::ActiveModel { id: Unchanged(id), value: Set(value), ..Default::default() };
        match change.update(&db).await {
            Ok(_) => saved += 1,
            Err(refused) => assert!(refused.to_string().contains("READ COMMITTED"), "{refused}"),
        }
    }
    saved
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn above_read_committed_a_save_goes_above_what_it_replaces_or_is_refused() {
    let pair = pair().await;
    let id = tally(0).insert(&pair.a.db).await.expect("a tally").id;
    let name = pair.a.texts("SELECT current_database()::text").await.remove(0);
    pair.a.sql(&format!("ALTER DATABASE {name} SET default_transaction_isolation = 'repeatable read'")).await;
    let db = pair.a.database.connect().await;
    let refused = tally(1).insert(&db).await.expect_err("a tombstone may be newer than the snapshot");
    assert!(refused.to_string().contains("READ COMMITTED"), "{refused}");
    let writers = (0..6).map(|_| tokio::spawn(update_often(id, db.clone())));
    let saved: usize = join_all(writers).await.into_iter().map(|writer| writer.expect("a writer")).sum();
    let versions = versions(&pair.a).await;
    assert_eq!(versions.len(), 1 + saved);
    assert!(saved > 0 && versions.is_sorted_by(|one, next| one < next), "{versions:?}");
    pair.stop().await;
}
