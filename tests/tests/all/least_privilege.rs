//! Promise 9, what is allowed: with the users that `jsb permissions` prints the admin provisions, and the pair does
//! everything that it does elsewhere, without asking for anything that is denied.

use std::time::Duration;

use jsb_tests::entities::{organization, seat};
use jsb_tests::least_privilege::{Auth, LeastPrivilege};
use jsb_tests::probe::{self, Orders};
use jsb_tests::{App, DEADLINE, effects, eventually, until};
use sea_orm::ActiveValue::Set;
use sea_orm::EntityTrait;
use uuid::Uuid;

const CLI: &str = env!("CARGO_BIN_EXE_cli");

/// In milliseconds. Short, so that a message's deliveries are soon spent.
const BACKOFF: [u64; 5] = [1_000, 100, 100, 100, 100];

/// Creates, updates and deletes on one side, and sees it on the other.
async fn rows_sync(from: &App, to: &App) {
    let row = organization::new(format!("{}.example", from.config.app_name)).insert(&from.db).await.expect("a save");
    to.has(&row).await;
    let mut renamed: organization::ActiveModel = row.into();
    renamed.name = Set("renamed".to_owned());
    let row = renamed.update(&from.db).await.expect("a save");
    to.has(&row).await;
    let id = row.id;
    row.delete(&from.db).await.expect("a delete");
    until("the row is gone", async || organization::Entity::find_by_id(id).one(&to.db).await == Ok(None)).await;
}

/// A dead letter, an event that is tried again, and one that waits for its parent.
async fn trouble_is_handled(from: &App, to: &App) {
    let refused = probe::send(&from.db, "refuse", Orders::default()).await;
    assert_eq!(to.event_is(&refused.event_id, "dead").await.reason.as_deref(), Some("handler_refused"));
    let shaky = probe::send(&from.db, "fail", Orders { failures: 2, ..Orders::default() }).await;
    assert_eq!(to.event_is(&shaky.event_id, "processed").await.attempts, 2);

    let parent = organization::new(format!("parent.{}.example", from.config.app_name));
    let parent = jsb_runtime::skip_publish(parent.insert(&from.db)).await.expect("a save");
    let child = seat::ActiveModel {
        id: Set(Uuid::new_v4()),
        organization_id: Set(parent.id),
        number: Set(1),
        ..Default::default()
    };
    let child = child.insert(&from.db).await.expect("a save");
    to.has_events("inbox_events", "parked", 1).await;
    let mut late: organization::ActiveModel = parent.into();
    late.name = Set("late".to_owned());
    late.update(&from.db).await.expect("a save");
    eventually("the child is there after its parent", || seat::Entity::find_by_id(child.id).one(&to.db)).await;
}

/// What somebody took again and again who crashed each time: its deliveries are spent, and the app finds it by itself.
async fn what_is_spent_is_rescued(least: &mut LeastPrivilege) {
    let (a, b) = (&mut least.pair.a, &mut least.pair.b);
    b.stop().await;
    let lost = probe::send(&a.db, "record", Orders::default()).await;
    a.has_events("outbox_events", "pending", 0).await;
    let (stream, name) = (b.config.stream_name.clone(), b.config.app_name.clone());
    let mut crashing = least.raw(&name).await;
    let durable = format!("{stream}.{name}-workers");
    crashing.subscribe(&format!("$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.{durable}")).await;
    let pull = serde_json::json!({"batch": 10, "expires": 200_000_000});
    let given_up = async {
        loop {
            let next = crashing.ask(&format!("$JS.API.CONSUMER.MSG.NEXT.{durable}"), &pull.to_string()).await;
            if next.subject.starts_with("$JS.EVENT.") {
                break next;
            }
        }
    };
    let advisory = tokio::time::timeout(DEADLINE, given_up).await.expect("an advisory in time");
    assert!(advisory.body.contains(&durable.replace('.', "\",\"consumer\":\"")), "{advisory:?}");
    assert_eq!(crashing.denials().await, Vec::<String>::new());
    drop(crashing);
    let b = &mut least.pair.b;
    b.start().await;
    b.event_is(&lost.event_id, "processed").await;
    assert_eq!(effects::count(&b.db, &lost.id).await, Ok(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pair_needs_nothing_that_its_users_may_not_do() {
    let mut least = LeastPrivilege::configured(CLI, Auth::Password, &[], |config| {
        config.backoff(BACKOFF.map(Duration::from_millis))
    })
    .await;
    least.provision().await;
    assert_eq!(least.cli("admin").run(&["provision", "--check"]).await.code, 0);
    least.pair.start_both().await;
    for (from, to) in [(&least.pair.a, &least.pair.b), (&least.pair.b, &least.pair.a)] {
        rows_sync(from, to).await;
        trouble_is_handled(from, to).await;
    }
    what_is_spent_is_rescued(&mut least).await;
    for app in [&least.pair.a, &least.pair.b] {
        assert_eq!(app.status().await.problems, Vec::<String>::new());
    }
    operators_see(&least).await;
    assert_eq!(least.violations(), Vec::<String>::new());
    least.pair.stop().await;
}

/// What an operator looks at, and what only the admin does.
async fn operators_see(least: &LeastPrivilege) {
    for user in ["admin", "observer"] {
        let cli = least.cli(user).set("AUTO_PROVISION", "false");
        let status = cli.json(&["status"]).await;
        assert_eq!(status["stream"]["name"], least.pair.a.config.stream_name.as_str(), "{status}");
        let letters = cli.json(&["dlq", "list"]).await;
        assert_eq!(letters.as_array().map(Vec::len), Some(1), "{letters}");
    }
    let admin = least.cli("admin").set("AUTO_PROVISION", "false");
    admin.json(&["outbox", "process-pending"]).await;
    admin.json(&["dlq", "purge", "--all", "--yes"]).await;
    assert_eq!(admin.json(&["dlq", "list"]).await, serde_json::json!([]));
}

/// One is enough once nats-server passes on what a new account asks; until 2.15.1 it does not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pair_whose_users_came_with_a_reload_syncs_after_the_next_one() {
    let mut least = LeastPrivilege::create(CLI, Auth::Password, &[]).await;
    least.provision().await;
    least.pair.start_both().await;
    let mut joined = least.join().await;
    joined.start_both().await;
    least.reload().await;
    for pair in [&joined, &least.pair] {
        rows_sync(&pair.a, &pair.b).await;
        rows_sync(&pair.b, &pair.a).await;
    }
    joined.stop().await;
    least.pair.stop().await;
}

async fn syncs(auth: Auth, form: &[&str]) {
    let mut least = LeastPrivilege::create(CLI, auth, form).await;
    least.provision().await;
    least.pair.start_both().await;
    rows_sync(&least.pair.a, &least.pair.b).await;
    rows_sync(&least.pair.b, &least.pair.a).await;
    assert_eq!(least.violations(), Vec::<String>::new());
    least.pair.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pair_syncs_with_passwords_in_json() {
    syncs(Auth::Password, &["--json"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pair_syncs_with_keys() {
    syncs(Auth::Nkey, &[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pair_syncs_with_keys_in_json() {
    syncs(Auth::Nkey, &["--json"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pair_syncs_with_passwords_from_variables() {
    syncs(Auth::Variables, &[]).await;
}
