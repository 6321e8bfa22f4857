//! The thin thread: one save on one side becomes one row on the other.

use jsb_tests::entities::{organization, user};
use jsb_tests::{Pair, eventually};
use sea_orm::ActiveValue::Set;
use sea_orm::{ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter};

on_both! {
    async fn a_save_on_one_side_becomes_a_row_on_the_other(backend: Backend) {
        let pair = Pair::start(backend).await;
        let name = Set("Acme \"Corp\" é".to_owned());
        let acme = organization::ActiveModel { name, ..organization::new("acme.example") };
        let saved = acme.insert(&pair.a.db).await.expect("a save");
        pair.b.has(&saved).await;

        let mut change = saved.clone().into_active_model();
        change.name = Set("Renamed on B".to_owned());
        let renamed = change.update(&pair.b.db).await.expect("an update");
        assert!(renamed.updated_at > saved.updated_at);
        assert_eq!(pair.agree::<organization::Entity>().await, std::slice::from_ref(&renamed));

        let ada = user::ActiveModel { organization_id: Set(saved.id), name: Set("Ada".to_owned()), ..Default::default() };
        let ada = ada.insert(&pair.b.db).await.expect("a user");
        eventually("the user is on A", || {
            user::Entity::find().filter(user::Column::Name.eq("Ada")).one(&pair.a.db)
        })
        .await;
        ada.delete(&pair.b.db).await.expect("a delete");
        assert_eq!(pair.agree::<user::Entity>().await, Vec::<user::Model>::new());
        pair.stop().await;
    }
}
