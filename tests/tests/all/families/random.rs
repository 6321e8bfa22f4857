//! Both sides change parents and children at once.

use std::time::Duration;

use chrono::TimeDelta;
use jsb_runtime::testing::skewed;
use jsb_tests::{App, Pair};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use sea_orm::ActiveValue::{Set, Unchanged};
use sea_orm::{DbErr, EntityTrait, IntoActiveModel};

use super::{organization, user};

/// Changes one side at random. What the database refuses, since a row has gone or has children, is part of the game.
async fn stir(app: &App, seed: u64, offset: TimeDelta) {
    let mut random = StdRng::seed_from_u64(seed);
    for turn in 0..80 {
        let organizations = organization::Entity::find().all(&app.db).await.expect("the organizations");
        let users = user::Entity::find().all(&app.db).await.expect("the users");
        let [one, another] = [0, 0].map(|_| organizations.choose(&mut random).map(|row| row.id));
        let user = users.choose(&mut random).cloned();
        let name = Set(format!("{seed}-{turn}"));
        let change = async {
            match (random.random_range(0..10), one, another, user) {
                (0..2, ..) | (_, None, ..) => {
                    let domain = format!("{seed}-{turn}.example");
                    let row = organization::ActiveModel { name, ..organization::new(domain) };
                    row.insert(&app.db).await.map(drop)
                }
                (2..4, Some(id), ..) => organization::ActiveModel { id: Unchanged(id), ..Default::default() }
                    .delete(&app.db)
                    .await
                    .map(drop),
                (4, Some(id), ..) => {
                    let change = organization::ActiveModel { id: Unchanged(id), name, ..Default::default() };
                    change.update(&app.db).await.map(drop)
                }
                (5..7, Some(id), ..) | (_, Some(id), _, None) => {
                    let row = user::ActiveModel { organization_id: Set(id), name, ..Default::default() };
                    row.insert(&app.db).await.map(drop)
                }
                (7, _, Some(other), Some(user)) => {
                    let mut change = user.into_active_model();
                    change.organization_id = Set(other);
                    change.update(&app.db).await.map(drop)
                }
                (_, _, _, Some(user)) => user.delete(&app.db).await.map(drop),
            }
        };
        match skewed(offset, change).await {
            Ok(()) | Err(DbErr::RecordNotUpdated) => {}
            Err(error) => assert!(error.to_string().to_lowercase().contains("foreign key"), "{error}"),
        }
    }
}

on_both! {
    async fn both_sides_change_parents_and_children_at_random(backend: Backend) {
        let hour = TimeDelta::hours(1);
        let mut pair = Pair::configured(backend, |mut config| {
            config.keep_parent_after = Duration::from_millis(1);
            config
        })
        .await;
        pair.a.start().await;
        skewed(hour, pair.b.start()).await;
        tokio::join!(stir(&pair.a, 1, TimeDelta::zero()), stir(&pair.b, 2, hour));
        pair.agree::<organization::Entity>().await;
        pair.agree_now::<user::Entity>().await;
        assert_eq!((pair.a.reasons_of_death().await, pair.b.reasons_of_death().await), (vec![], vec![]));
        pair.stop().await;
    }
}
