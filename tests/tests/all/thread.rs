//! The thin thread: one save on one side becomes one row on the other.

use jsb_tests::entities::{organization, user};
use jsb_tests::{Pair, eventually};
use sea_orm::ActiveValue::Set;
use sea_orm::{ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter};

fn organization(domain: &str) -> organization::ActiveModel {
    organization::ActiveModel {
        name: Set("Acme \"Corp\" é".to_owned()),
        domain: Set(domain.to_owned()),
        active: Set(true),
        created_at: Set(chrono::Utc::now()),
        ..Default::default()
    }
}

on_both! {
    async fn a_save_on_one_side_becomes_a_row_on_the_other(backend: Backend) {
        let pair = Pair::start(backend).await;
        let saved = organization("acme.example").insert(&pair.a.db).await.expect("a save");
        let copy = eventually("the row is on B", || {
            organization::Entity::find_by_id(saved.id).one(&pair.b.db)
        })
        .await;
        assert_eq!(copy, saved);

        let mut change = copy.into_active_model();
        change.name = Set("Renamed on B".to_owned());
        let renamed = change.update(&pair.b.db).await.expect("an update");
        assert!(renamed.updated_at > saved.updated_at);
        pair.quiet().await;
        let (a, b) = pair.rows::<organization::Entity>().await;
        assert_eq!((a.as_slice(), b.as_slice()), ([renamed.clone()].as_slice(), [renamed.clone()].as_slice()));

        let ada = user::ActiveModel { organization_id: Set(saved.id), name: Set("Ada".to_owned()), ..Default::default() };
        let ada = ada.insert(&pair.b.db).await.expect("a user");
        eventually("the user is on A", || {
            user::Entity::find().filter(user::Column::Name.eq("Ada")).one(&pair.a.db)
        })
        .await;
        ada.delete(&pair.b.db).await.expect("a delete");
        pair.quiet().await;
        let (a, b) = pair.rows::<user::Entity>().await;
        assert_eq!((a, b), (vec![], vec![]));
        pair.stop().await;
    }
}
