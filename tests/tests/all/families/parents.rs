//! Parents that are deleted, while they have children elsewhere.

use std::time::Duration;

use jsb_tests::{Pair, Remote, eventually};
use sea_orm::ActiveValue::Set;
use sea_orm::{EntityTrait, IntoActiveModel};

use super::{organization, parks, user};

on_both! {
    async fn a_parent_that_got_a_child_elsewhere_comes_back(backend: Backend) {
        let mut pair = Pair::configured(backend, |mut config| {
            config.keep_parent_after = Duration::from_millis(1);
            config
        })
        .await;
        pair.start_both().await;
        let acme = organization(&pair.a).await;
        pair.quiet().await;
        pair.a.stop().await;
        pair.b.stop().await;
        acme.clone().delete(&pair.a.db).await.expect("a delete on A");
        let ada = user(&pair.b, acme.id, "Ada").await;
        pair.start_both().await;
        // A event of B's that was recorded while it kept the parent is not counted before it is there.
        let kept = eventually("the parent is back on A", || organization::Entity::find_by_id(acme.id).one(&pair.a.db)).await;
        assert!(kept.updated_at > acme.updated_at);
        assert_eq!(pair.agree::<organization::Entity>().await, [kept]);
        assert_eq!(pair.agree_now::<user::Entity>().await, [ada]);
        pair.stop().await;
    }

    async fn a_parent_whose_children_go_in_time_goes_too(backend: Backend) {
        let mut pair = Pair::start(backend).await;
        let acme = organization(&pair.a).await;
        pair.quiet().await;
        pair.a.stop().await;
        pair.b.stop().await;
        acme.delete(&pair.a.db).await.expect("a delete on A");
        let ada = user(&pair.b, 1, "Ada").await;
        pair.start_both().await;
        parks(&pair.b, "has_children").await;
        parks(&pair.a, "parent_missing").await;
        ada.delete(&pair.b.db).await.expect("a delete on B");
        assert_eq!(pair.agree::<user::Entity>().await, Vec::<user::Model>::new());
        assert_eq!(pair.agree_now::<organization::Entity>().await, Vec::<organization::Model>::new());
        pair.stop().await;
    }

    async fn a_parent_s_delete_that_is_overtaken_by_its_children_s_deletes_waits_for_them(backend: Backend) {
        let mut pair = Pair::create(backend).await;
        let acme = organization(&pair.a).await;
        let ada = user(&pair.a, acme.id, "Ada").await;
        let mut moved = user(&pair.a, acme.id, "Bob").await.into_active_model();
        ada.delete(&pair.a.db).await.expect("a delete");
        let other = organization::ActiveModel { domain: Set("other.example".to_owned()), ..acme.clone().into() };
        let other = organization::ActiveModel { id: sea_orm::NotSet, ..other }.insert(&pair.a.db).await.expect("a save");
        moved.organization_id = Set(other.id);
        moved.update(&pair.a.db).await.expect("an update");
        acme.delete(&pair.a.db).await.expect("a delete");
        pair.b.start().await;
        let mut events = pair.a.recorded().await;
        // The parent's delete comes right behind its children's creation.
        let delete = events.pop().expect("the delete");
        events.insert(3, delete);
        Remote::of(&pair.b).await.publish_all(&events).await;
        pair.b.has_settled(7).await;
        assert_eq!(pair.agree_now::<organization::Entity>().await.len(), 1);
        assert_eq!(pair.agree_now::<user::Entity>().await.len(), 1);
        pair.stop().await;
    }
}
