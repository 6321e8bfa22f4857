//! What a save publishes, by whichever way it is made.

use jsb_tests::Pair;
use jsb_tests::entities::{organization, tally, user};
use sea_orm::ActiveValue::Set;
use sea_orm::{ActiveModelTrait, EntityTrait, IntoActiveModel, TryIntoModel};
use serde_json::json;
use uuid::Uuid;

use super::{guarded, types};

on_both! {
    async fn every_way_to_save_publishes(backend: Backend) {
        let app = Pair::create(backend).await.a;
        let id = Uuid::now_v7();
        let row = tally::ActiveModel { id: Set(id), value: Set(1), ..Default::default() };
        let row = row.insert(&app.db).await.expect("an insert");
        let mut row = row.into_active_model();
        row.value = Set(2);
        let row = row.save(&app.db).await.expect("a save of what is there");
        let mut row = row.try_into_model().expect("a whole row").into_active_model();
        row.value = Set(3);
        let row = row.update(&app.db).await.expect("an update");
        let mut row = row.into_active_model();
        row.value = Set(4);
        let result = row.update_without_returning(&app.db).await.expect("an update that returns nothing");
        assert_eq!(result.rows_affected, 1);
        let row = tally::Entity::find_by_id(id).one(&app.db).await.expect("a read").expect("the row");
        assert_eq!(row.value, 4);
        assert_eq!(row.clone().delete(&app.db).await.expect("a delete of a model").rows_affected, 1);
        assert_eq!(row.clone().delete(&app.db).await.expect("a delete of nothing").rows_affected, 0);
        let again = tally::ActiveModel { id: Set(id), value: Set(5), ..Default::default() };
        let again = again.insert(&app.db).await.expect("an insert after the delete");
        assert!(again.updated_at > row.updated_at);
        again.into_active_model().delete(&app.db).await.expect("a delete of an active model");
        assert_eq!(
            types(&app).await,
            ["created", "updated", "updated", "updated", "deleted", "created", "deleted"]
        );
        let numbers: Vec<_> = app.recorded().await.iter().map(|event| event["payload"]["value"].clone()).collect();
        assert_eq!(numbers, [1, 2, 3, 4, 4, 5, 5]);
    }

    async fn the_dense_format_s_nested_save_publishes(backend: Backend) {
        let app = Pair::create(backend).await.a;
        let nested = organization::ActiveModel::builder()
            .set_name("Acme")
            .set_domain("acme.example")
            .set_active(true)
            .set_created_at(chrono::Utc::now())
            .add_user(user::ActiveModel::builder().set_name("Ada"))
            .add_user(user::ActiveModel::builder().set_name("Bob"));
        let saved = nested.save(&app.db).await.expect("a nested save");
        assert_eq!(types(&app).await, ["created", "created", "created"]);
        let bob = user::Entity::find_by_id(3).one(&app.db).await.expect("a read").expect("Bob, the second to draw an odd id");
        assert_eq!(bob.name, "Bob");
        saved.delete(&app.db).await.expect("a nested delete");
        assert_eq!(types(&app).await[3..], ["deleted", "deleted", "deleted"]);
    }

    async fn an_update_that_changes_nothing_publishes_nothing(backend: Backend) {
        let app = Pair::create(backend).await.a;
        let row = tally::new(1).insert(&app.db).await.expect("a save");
        let same = row.clone().into_active_model().update(&app.db).await.expect("an update of nothing");
        assert_eq!(same, row);
        assert_eq!(types(&app).await, ["created"]);
    }

    async fn a_save_of_the_version_alone_sends_the_whole_row(backend: Backend) {
        let app = Pair::create(backend).await.a;
        let row = jsb_runtime::skip_publish(tally::new(1).insert(&app.db)).await.expect("a row that was there already");
        let mut again = row.clone().into_active_model();
        again.reset(tally::Column::UpdatedAt);
        let sent = again.update(&app.db).await.expect("an update of nothing else");
        assert!((sent.id, sent.value) == (row.id, 1) && sent.updated_at > row.updated_at, "{sent:?}");
        let events = app.recorded().await;
        assert_eq!((events.len(), &events[0]["payload"]["value"]), (1, &json!(1)));
    }

    async fn hooks_of_one_s_own_come_first(backend: Backend) {
        let app = Pair::create(backend).await.a;
        guarded("").insert(&app.db).await.expect_err("empty");
        let saved = guarded("loud").insert(&app.db).await.expect("a save");
        assert_eq!(saved.text, "LOUD");
        let recorded = app.recorded().await;
        assert_eq!(recorded.len(), 1);
        assert_eq!(recorded[0]["payload"]["text"], "LOUD");
        saved.delete(&app.db).await.expect("a delete");
        assert_eq!(types(&app).await, ["created", "deleted"]);
    }

    async fn what_a_hook_does_to_other_rows_does_not_hide_the_row_s_own_change(backend: Backend) {
        let app = Pair::create(backend).await.a;
        tally::new(1).insert(&app.db).await.expect("a save");
        let mut row = guarded("quiet").insert(&app.db).await.expect("a save").into_active_model();
        row.text = Set(guarded::SOCIABLE.to_owned());
        row.update(&app.db).await.expect("an update");
        let event = app.recorded().await.pop().expect("an event");
        assert_eq!((&event["event_type"], &event["payload"]["text"]), (&json!("updated"), &json!(guarded::SOCIABLE)));
    }
}
