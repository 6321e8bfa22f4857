//! A process that stops in the middle of what it does, and that its database cannot tell from one that thinks.

use jsb_tests::entities::organization;
use jsb_tests::{App, Backend, ChildCommand, Pair, Remote};
use sea_orm::ActiveValue::{Set, Unchanged};
use sea_orm::EntityTrait;

use crate::families::organization;

async fn rename(app: &App, row: &organization::Model, name: &str) {
    let change = organization::ActiveModel { id: Unchanged(row.id), name: Set(name.to_owned()), ..Default::default() };
    change.update(&app.db).await.expect("an update");
}

/// On SQLite a process that has stopped holds the one write lock: nobody can end its transaction.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_stops_in_the_middle_of_a_batch_holds_nobody_up_for_long() {
    let mut pair = Pair::create(Backend::Postgres).await;
    let acme = organization(&pair.a).await;
    rename(&pair.a, &acme, "Acme Ltd").await;
    // So that the stream is there.
    pair.b.start().await;
    pair.b.stop().await;
    let remote = Remote::of(&pair.b).await;
    let recorded = pair.a.recorded().await;
    remote.publish_all(&recorded).await;
    pair.b.linger("organizations", 5).await;
    let child = ChildCommand::new(env!("CARGO_BIN_EXE_app"), &pair.b).start().await;
    pair.b.lingers().await;
    child.freeze();
    assert_eq!(pair.b.count("inbox_events", "processed").await, 0, "it had got further, so this shows nothing");
    rename(&pair.a, &acme, "Acme Inc").await;
    pair.b.start().await;
    remote.publish(pair.a.recorded().await.last().expect("the update")).await;
    pair.b.has_settled(3).await;
    let a = pair.agree_now::<organization::Entity>().await;
    child.thaw();
    assert!(child.stop().await.success());
    assert_eq!(organization::Entity::find().all(&pair.b.db).await.expect("the rows"), a);
    pair.stop().await;
}
