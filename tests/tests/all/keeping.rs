//! What stays here although the other side has deleted it.

use std::time::{Duration, Instant};

use chrono::TimeDelta;
use jsb_runtime::testing::skewed;
use jsb_tests::entities::keepsake;
use jsb_tests::entities::parcel::{self, Address, Items};
use jsb_tests::{Pair, Remote, eventually, until};
use sea_orm::ActiveValue::Set;
use sea_orm::EntityTrait;
use serde_json::{Value as Json, json};
use uuid::Uuid;

use crate::types::stored_addresses;

/// A guarded row whose hooks write down how it was saved.
mod heirloom {
    use jsb_runtime::{hooks, prelude::*};
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Syncable)]
    #[sea_orm(table_name = "guarded")]
    #[syncable(resource = "heirloom", behavior = "custom")]
    pub(super) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub text: String,
        pub updated_at: DateTimeUtc,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(super) enum Relation {}

    #[async_trait::async_trait]
    impl ActiveModelBehavior for ActiveModel {
        async fn before_save<C: ConnectionTrait>(mut self, db: &C, insert: bool) -> Result<Self, DbErr> {
            // Of a save that somebody else begins, the whole row is here too.
            let text = if insert { "made".to_owned() } else { format!("{}, changed", self.text.as_ref()) };
            self.text = sea_orm::Set(text);
            hooks::before_save::<Model, _>(self, db, insert).await
        }

        async fn after_save<C: ConnectionTrait>(model: Model, db: &C, insert: bool) -> Result<Model, DbErr> {
            hooks::after_save(model, db, insert).await
        }

        async fn before_delete<C: ConnectionTrait>(self, db: &C) -> Result<Self, DbErr> {
            hooks::before_delete::<Model, _>(self, db).await
        }

        async fn after_delete<C: ConnectionTrait>(self, db: &C) -> Result<Self, DbErr> {
            hooks::after_delete::<Model, _>(self, db).await
        }
    }
}

/// An event of the other side's on a keepsake. Of a delete there is one only if somebody else than JSB publishes it.
fn event(event_type: &str, id: Uuid, second: u64) -> Json {
    let updated_at = format!("2026-01-01T00:00:{second:02}Z");
    Remote::event("keepsake", event_type, id, json!({"id": id, "name": "ring", "updated_at": updated_at}))
}

/// The keys of B's keepsakes, of which none has left a tombstone.
async fn keepsakes(pair: &Pair) -> Vec<Uuid> {
    assert_eq!(pair.b.reasons_of_death().await, [""; 0]);
    assert_eq!(pair.b.texts("SELECT resource_id FROM sync_tombstones").await, [""; 0]);
    pair.rows::<keepsake::Entity>().await.1.into_iter().map(|row| row.id).collect()
}

/// Starts both, and makes a row on A to which one of B's refers.
async fn guarded_on_b(pair: &mut Pair) -> heirloom::Model {
    pair.b.sql("CREATE TABLE guards (guarded_id uuid PRIMARY KEY REFERENCES guarded (id))").await;
    pair.start_both().await;
    let row = heirloom::ActiveModel { id: Set(Uuid::now_v7()), ..Default::default() };
    let row = row.insert(&pair.a.db).await.expect("a save");
    pair.quiet().await;
    pair.b.sql("INSERT INTO guards SELECT id FROM guarded").await;
    row
}

on_both! {
    async fn a_row_that_each_side_deletes_for_itself_stays(backend: Backend) {
        let (pair, remote) = Pair::receiving(backend).await;
        let id = Uuid::now_v7();
        for (number, event_type) in (1..).zip(["created", "deleted"]) {
            remote.publish(&event(event_type, id, number)).await;
            pair.b.has_settled(number).await;
        }
        assert_eq!(keepsakes(&pair).await, [id]);
        pair.stop().await;
    }

    async fn rows_that_each_side_deletes_for_itself_stay_when_their_deletes_come_together(backend: Backend) {
        let (mut pair, remote) = Pair::receiving(backend).await;
        let ids = [0; 3].map(|_| Uuid::now_v7());
        remote.publish_all(&[event("created", ids[0], 1), event("created", ids[1], 1)]).await;
        pair.b.has_settled(2).await;
        pair.b.stop().await;
        // One of them is made only in the batch that deletes it.
        let together = [
            event("deleted", ids[0], 2),
            event("deleted", ids[1], 2),
            event("created", ids[2], 1),
            event("deleted", ids[2], 2),
        ];
        remote.publish_all(&together).await;
        pair.b.start().await;
        pair.b.has_settled(6).await;
        assert_eq!(keepsakes(&pair).await, ids);
        pair.stop().await;
    }

    async fn a_parent_with_hooks_of_its_own_is_kept_by_them(backend: Backend) {
        let mut pair = Pair::configured(backend, |config| config.keep_parent_after(Duration::from_millis(1))).await;
        let row = guarded_on_b(&mut pair).await;
        // By a clock that is ahead: what is kept must be above this delete all the same.
        skewed(TimeDelta::hours(1), row.clone().delete(&pair.a.db)).await.expect("a delete on A");
        let kept = eventually("the row is back on A", || heirloom::Entity::find_by_id(row.id).one(&pair.a.db)).await;
        assert_eq!((row.text.as_str(), kept.text.as_str()), ("made", "made, changed"));
        assert_eq!(pair.agree::<heirloom::Entity>().await, [kept]);
        let recorded = pair.b.recorded().await;
        assert_eq!((recorded.len(), &recorded[0]["event_type"]), (1, &json!("updated")));
        pair.stop().await;
    }

    async fn a_parent_is_kept_with_the_json_that_its_type_does_not_know(backend: Backend) {
        let mut pair = Pair::configured(backend, |config| config.keep_parent_after(Duration::from_millis(1))).await;
        pair.b.sql("CREATE TABLE receivers (parcel_id uuid PRIMARY KEY REFERENCES parcels (id))").await;
        pair.start_both().await;
        let row = parcel::ActiveModel {
            id: Set(Uuid::now_v7()),
            address: Set(Address { town: "Kiel".to_owned() }),
            items: Set(Items(Vec::new())),
            ..Default::default()
        };
        let row = row.insert(&pair.a.db).await.expect("a save");
        pair.quiet().await;
        // As a newer program of A's would have sent it.
        let newer = r#"UPDATE parcels SET address = '{"town": "Kiel", "zip": "24103"}'"#;
        pair.b.sql(&format!("{newer}; INSERT INTO receivers SELECT id FROM parcels")).await;
        let id = row.id;
        row.delete(&pair.a.db).await.expect("a delete on A");
        eventually("the row is back on A", || parcel::Entity::find_by_id(id).one(&pair.a.db)).await;
        pair.quiet().await;
        for app in [&pair.a, &pair.b] {
            assert_eq!(stored_addresses(app).await, [json!({"town": "Kiel", "zip": "24103"})]);
        }
        pair.stop().await;
    }

    async fn a_parent_is_not_kept_for_the_time_in_which_nobody_consumed(backend: Backend) {
        const KEEP_AFTER: Duration = Duration::from_secs(10);
        let mut pair = Pair::configured(backend, |config| config.keep_parent_after(KEEP_AFTER)).await;
        let row = guarded_on_b(&mut pair).await;
        row.delete(&pair.a.db).await.expect("a delete on A");
        pair.b.has_events("inbox_events", "parked", 1).await;
        pair.b.stop().await;
        let long_ago = (chrono::Utc::now() - TimeDelta::hours(1)).to_rfc3339();
        pair.b.sql(&format!("UPDATE inbox_events SET received_at = '{long_ago}' WHERE status = 'parked'")).await;
        let started = Instant::now();
        pair.b.start().await;
        until("the row is kept", async || pair.b.recorded().await.len() == 1).await;
        assert!(started.elapsed() >= KEEP_AFTER, "its children had no time to go");
        pair.stop().await;
    }
}
