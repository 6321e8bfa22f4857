//! A process that stops in the middle of what it does, and that its database cannot tell from one that thinks.

use jsb_tests::entities::organization;
use jsb_tests::{Backend, ChildCommand, Pair, Remote, eventually};
use sea_orm::ActiveValue::{Set, Unchanged};
use sea_orm::{DbErr, EntityTrait};

use crate::families::organization;

/// On SQLite a process that has stopped holds the one write lock: nobody can end its transaction.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_stops_in_the_middle_of_a_batch_holds_nobody_up_for_long() {
    let mut pair = Pair::create(Backend::Postgres).await;
    let acme = organization(&pair.a).await;
    let other = organization::ActiveModel {
        name: Set("Other".to_owned()),
        domain: Set("other.example".to_owned()),
        active: Set(true),
        created_at: Set(chrono::Utc::now()),
        ..Default::default()
    };
    other.insert(&pair.a.db).await.expect("an organization");
    // So that the stream is there.
    pair.b.start().await;
    pair.b.stop().await;
    let remote = Remote::of(&pair.b).await;
    let recorded = pair.a.recorded().await;
    remote.publish_all(&recorded).await;
    let linger = "CREATE FUNCTION linger() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(2); RETURN NULL; END $$; \
                  CREATE TRIGGER linger BEFORE INSERT ON organizations FOR EACH STATEMENT EXECUTE FUNCTION linger()";
    pair.b.sql(linger).await;
    let child = ChildCommand::new(env!("CARGO_BIN_EXE_app"), &pair.b).start().await;
    eventually("it is in the middle of the batch", || async {
        let sleeping =
            "SELECT query FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'";
        Ok::<_, DbErr>(pair.b.texts(sleeping).await.pop())
    })
    .await;
    child.freeze();
    assert_eq!(pair.b.count("inbox_events", "processed").await, 0, "it had got further, so this shows nothing");
    let change =
        organization::ActiveModel { id: Unchanged(acme.id), name: Set("Acme Ltd".to_owned()), ..Default::default() };
    change.update(&pair.a.db).await.expect("an update");
    pair.b.start().await;
    remote.publish(pair.a.recorded().await.last().expect("the update")).await;
    pair.b.has_settled(3).await;
    let (a, b) = pair.rows::<organization::Entity>().await;
    assert_eq!(a, b);
    child.thaw();
    assert!(child.stop().await.success());
    assert_eq!(organization::Entity::find().all(&pair.b.db).await.expect("the rows"), a);
    pair.stop().await;
}
