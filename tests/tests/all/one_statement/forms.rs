//! Values are written as the hooks write them, and refused as they refuse them.

use jsb_tests::entities::{gap, organization, specimen};
use sea_orm::ActiveValue::{Set, Unchanged};
use sea_orm::{ActiveModelTrait, IdenStatic, IntoActiveModel, Iterable, SqlErr, TransactionTrait, TryIntoModel};
use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::{newest, pair, written_at_once};
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
    assert_eq!(pair.agree::<gap::Entity>().await[0].json, None);
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
        assert_eq!(pair.agree::<gap::Entity>().await, []);
    }
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
