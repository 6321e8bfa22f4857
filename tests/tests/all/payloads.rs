//! What a payload holds, and what becomes of one that holds less or more than a row.

use jsb_tests::entities::{label, organization, tally};
use jsb_tests::{Pair, Remote};
use sea_orm::ActiveValue::Set;
use sea_orm::{ActiveModelTrait, IntoActiveModel};
use serde_json::{Value as Json, json};
use uuid::Uuid;

on_both! {
    async fn as_much_text_as_the_server_takes_arrives(backend: Backend) {
        let pair = Pair::start(backend).await;
        let text = "é\u{1F980}\n".repeat(110_000);
        let row = label::ActiveModel { code: Set("large".to_owned()), caption: Set(text), ..Default::default() };
        row.insert(&pair.a.db).await.expect("a save");
        pair.quiet().await;
        let (a, b) = pair.rows::<label::Entity>().await;
        assert!(a == b && a[0].caption.len() == 770_000);
        pair.stop().await;
    }

    async fn what_is_finer_than_a_microsecond_is_cut_before_it_is_saved(backend: Backend) {
        let pair = Pair::start(backend).await;
        let fine = chrono::DateTime::from_timestamp_nanos(1_234_567_890_123_456_789);
        let row = |id, domain: &str| organization::Model {
            id,
            name: String::new(),
            domain: domain.to_owned(),
            active: true,
            internal_note: None,
            created_at: fine,
            updated_at: fine,
        };
        row(1, "unchanged").into_active_model().insert(&pair.a.db).await.expect("an insert of a whole model");
        row(3, "set").into_active_model().reset_all().insert(&pair.a.db).await.expect("an insert of set values");
        let a = pair.agree::<organization::Entity>().await;
        assert!(a.iter().all(|row| row.created_at.timestamp_nanos_opt() == Some(1_234_567_890_123_456_000)));
        pair.stop().await;
    }

    async fn a_field_travels_under_its_name_on_the_wire(backend: Backend) {
        let app = Pair::create(backend).await.a;
        let label = label::ActiveModel { code: Set("x".to_owned()), caption: Set("X".to_owned()), ..Default::default() };
        let saved = label.insert(&app.db).await.expect("a save");
        let recorded = app.recorded().await;
        let updated_at = saved.updated_at.to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
        assert_eq!(recorded[0]["payload"], json!({"code": "x", "title": "X", "updated_at": updated_at}));
        assert_eq!(recorded[0]["resource_id"], "x");
    }

    async fn a_partial_payload_updates_what_it_names_and_inserts_with_defaults(backend: Backend) {
        let (pair, remote) = Pair::receiving(backend).await;
        let (id, absent) = (Uuid::now_v7(), Uuid::now_v7());
        let event = |name: &str, id: Uuid, payload: Json| {
            let mut event = Remote::event_with_id(name, "tally", "updated", id, payload);
            event["occurred_at"] = "2026-01-01T00:00:01Z".into();
            event
        };
        let full = json!({"id": id, "value": 1, "remark": "kept", "updated_at": "2026-01-01T00:00:00Z", "unknown": [1]});
        remote.publish(&event("full", id, full)).await;
        remote.publish(&event("partial", id, json!({"value": 2, "unknown": {"a": 1}}))).await;
        remote.publish(&event("insert", absent, json!({"id": absent, "value": 3}))).await;
        remote.publish(&event("too little", Uuid::now_v7(), json!({"remark": "no value, and no default for it"}))).await;
        pair.b.has_settled(4).await;
        let (_, rows) = pair.rows::<tally::Entity>().await;
        let rows: Vec<_> = rows.iter().map(|row| (row.id, row.value, row.remark.as_str())).collect();
        assert_eq!(rows, [(id, 2, "kept"), (absent, 3, "none")]);
        assert_eq!(pair.b.reasons_of_death().await, ["constraint_violated"]);
        pair.stop().await;
    }
}
