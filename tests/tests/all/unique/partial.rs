//! A row that is to give up a value by an event that does not carry it.

use jsb_tests::entities::guild;
use jsb_tests::{Pair, Remote, until};
use sea_orm::EntityTrait;
use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::is_tried_again;

fn event(resource: &str, event_type: &str, id: Uuid, second: u32, mut row: Json) -> Json {
    row["id"] = json!(id);
    row["updated_at"] = format!("2026-11-01T00:00:{second:02}Z").into();
    Remote::event(resource, event_type, id, row)
}

on_both! {
    /// It keeps that, so that its own older event is not too late to say what it is.
    async fn what_an_event_does_not_carry_does_not_step_aside(backend: Backend) {
        let mut pair = Pair::create(backend).await;
        pair.b.sql("CREATE UNIQUE INDEX guild_name ON guilds (name)").await;
        let remote = pair.receive().await;
        let [old, new, master] = [(); 3].map(|()| Uuid::now_v7());
        let named = |name: &str| json!({"name": name, "master_id": null, "deputy_id": null});
        remote.publish(&event("guild", "created", old, 1, named("Anvil"))).await;
        pair.b.has_settled(1).await;
        // The new guild waits for the old one's name, that one for its master, and he for the new guild.
        let smith = json!({"guild_id": new, "teacher_id": master, "name": "Wayland"});
        let circle = [
            event("guild", "created", new, 3, named("Anvil")),
            event("guild", "updated", old, 4, json!({"master_id": master})),
            event("smith", "created", master, 5, smith),
        ];
        remote.publish_all(&circle).await;
        let all_wait = async || pair.b.count("inbox_events", "parked").await == 3;
        until("all three wait", all_wait).await;
        // The circle is found, and left.
        for event in &circle {
            is_tried_again(&pair.b, event).await;
        }
        assert!(all_wait().await);
        remote.publish(&event("guild", "updated", old, 2, named("Hammer"))).await;
        pair.b.has_settled(5).await;
        let guild = async |id| guild::Entity::find_by_id(id).one(&pair.b.db).await.expect("a read").expect("the guild");
        assert_eq!(guild(new).await.name, "Anvil");
        let old = guild(old).await;
        assert_eq!((old.name.as_str(), old.master_id), ("Hammer", Some(master)));
        pair.stop().await;
    }
}
