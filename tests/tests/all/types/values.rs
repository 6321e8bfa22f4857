//! Values of every type.

use jsb_tests::Pair;
use jsb_tests::entities::{gap, specimen};
use rust_decimal::Decimal;
use sea_orm::ActiveValue::{Set, Unchanged};
use sea_orm::{ActiveModelTrait, DbBackend, IntoActiveModel};
use serde_json::Value as Json;
use uuid::Uuid;

use crate::samples;

/// What arrives is what was saved, and what was saved is what was asked for.
async fn specimens_travel(pair: &mut Pair) {
    pair.start_both().await;
    let (first, second) = (samples::specimen(), samples::specimen());
    let wanted = [first.clone(), second.clone()];
    let first = first.into_active_model().reset_all().insert(&pair.a.db).await.expect("a save on A");
    let second = second.into_active_model().reset_all().insert(&pair.b.db).await.expect("a save on B");
    let found = pair.agree::<specimen::Entity>().await;
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
    assert_eq!(pair.agree::<specimen::Entity>().await, [changed, second]);
    for app in [&pair.a, &pair.b].into_iter().filter(|app| app.db.get_database_backend() == DbBackend::Sqlite) {
        let zoned = app.texts("SELECT zoned FROM specimens UNION SELECT time_zoned FROM specimens").await;
        assert!(!zoned.iter().any(|text| text.contains("05:45") || text.contains("-03:30")), "{zoned:?}");
    }
}

async fn gaps_travel(pair: &mut Pair) {
    pair.start_both().await;
    let full = samples::full_gap().into_active_model().reset_all().insert(&pair.a.db).await.expect("a save on A");
    let empty = samples::empty_gap().into_active_model().reset_all().insert(&pair.b.db).await.expect("a save on B");
    assert_eq!(pair.agree::<gap::Entity>().await, [full.clone(), empty.clone()]);
    let emptied = gap::Model { id: full.id, ..samples::empty_gap() }.into_active_model().reset_all();
    let filled = gap::Model { id: empty.id, ..samples::full_gap() }.into_active_model().reset_all();
    let emptied = emptied.update(&pair.b.db).await.expect("an update on B");
    let filled = filled.update(&pair.a.db).await.expect("an update on A");
    let found = pair.agree::<gap::Entity>().await;
    assert_eq!(found, [emptied, filled]);
    assert_eq!((&found[0].json, found[1].json.is_some()), (&None, true));
}

/// Starts B for what A has saved, and finds that it came together.
async fn arrive_together(pair: &mut Pair, events: i64) {
    pair.a.has_sent(events).await;
    pair.b.start().await;
    pair.b.has_settled(events.unsigned_abs()).await;
    pair.b.stop().await;
    pair.agree_now::<gap::Entity>().await;
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
    pair.agree::<specimen::Entity>().await;
    assert_eq!(pair.agree::<gap::Entity>().await.len(), ids.len());
}

also_mixed! {
    values_of_every_type_arrive_as_they_were_saved: specimens_travel;
    values_of_every_type_arrive_together: rows_travel_together;
    nullable_values_arrive_as_they_were_saved: gaps_travel;
}
