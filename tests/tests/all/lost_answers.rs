//! A save whose answer is lost may have been made: that is for its caller to find out, and nobody makes it again.

use jsb_tests::entities::user;
use jsb_tests::faults::link::{Link, Weather};
use jsb_tests::{App, Backend, Pair, until};
use sea_orm::ActiveValue::{Set, Unchanged};
use sea_orm::{ConnectOptions, Database, DatabaseConnection};
use url::Url;

use crate::families::organization;

/// One connection over a link to the PostgreSQL server; whoever asks for it gets it untried.
async fn over_a_link(app: &App) -> (Link, DatabaseConnection) {
    let mut url: Url = app.database.url.parse().expect("a URL");
    let link = Link::to(url.port().expect("a port")).await.expect("a link");
    url.set_port(Some(link.port())).expect("a URL with a port");
    let mut options = ConnectOptions::new(url);
    options.max_connections(1).test_before_acquire(false).sqlx_logging(false);
    (link, Database::connect(options).await.expect("a pool"))
}

/// Loses the answer to what is asked next.
async fn lose_next_answer(link: &Link, db: &DatabaseConnection) {
    // The pool tries what is given back to it.
    until("the connection is given back", async || db.get_postgres_connection_pool().num_idle() == 1).await;
    link.set(Weather::LosesAnswers);
}

/// The names that the events of users say, in their order.
async fn names_recorded(app: &App) -> Vec<String> {
    let events = app.recorded().await.into_iter().filter(|event| event["resource_type"] == "user");
    events.map(|event| event["payload"]["name"].as_str().expect("a name").to_owned()).collect()
}

/// The connections of a SQLite database are files, which lose nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_save_whose_answer_is_lost_is_not_made_again() {
    let pair = Pair::start(Backend::Postgres).await;
    let (link, db) = over_a_link(&pair.a).await;
    let parent = organization(&pair.a).await.id;
    let new = |name: &str| user::ActiveModel {
        organization_id: Set(parent),
        name: Set(name.to_owned()),
        ..Default::default()
    };
    // A statement that the connection does not know yet is asked about first.
    let first = new("first").insert(&db).await.expect("a save");
    lose_next_answer(&link, &db).await;
    new("second").insert(&db).await.expect_err("an answer that is lost");
    assert_eq!(pair.a.texts("SELECT name FROM users ORDER BY id").await, ["first", "second"]);

    let named =
        |name: &str| user::ActiveModel { id: Unchanged(first.id), name: Set(name.to_owned()), ..Default::default() };
    named("third").update(&db).await.expect("a save");
    lose_next_answer(&link, &db).await;
    named("fourth").update(&db).await.expect_err("an answer that is lost");
    assert_eq!(names_recorded(&pair.a).await, ["first", "second", "third", "fourth"]);

    assert_eq!(pair.agree::<user::Entity>().await.len(), 2);
    pair.stop().await;
}
