//! Starts with too little, with just enough, and with a wrong password.

use std::time::Instant;

use jsb_tests::entities::organization;
use jsb_tests::probe::{self, Orders};

use super::SILENCE;
use super::restricted::{PASSWORD, Restricted, admin, user, users};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_least_privileges_are_enough() {
    let mut app = Restricted::create(&[]).await;
    // A message that B was given once and never settled: B looks for it at its start.
    app.pair.a.start().await;
    let early = organization::saved(&app.pair.a.db, "early.example").await;
    app.delivered_to_nobody().await;
    app.pair.b.start().await;
    app.pair.b.has(&early).await;
    app.syncs("first").await;
    let refused = probe::send(&app.pair.a.db, "refuse", Orders { error: "no".to_owned(), ..Orders::default() }).await;
    app.pair.b.event_is(&refused.event_id, "dead").await;
    app.nothing_is_wrong().await;
    assert_eq!(app.violations(), 0, "{}", app.nats.log());
    app.pair.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_that_would_provision_without_the_right_to_says_what_it_lacks() {
    let mut app = Restricted::configured(&[], |config| config.auto_provision(true)).await;
    let began = Instant::now();
    app.pair.a.start().await;
    let problem = app.a_has_problem("publish to `$JS.API.").await;
    assert!(began.elapsed() < SILENCE, "it was said after {:?}", began.elapsed());
    assert!(problem.contains("provision"), "{problem}");
    assert!(!app.pair.a.status().await.jetstream_connected);
    let row = organization::saved(&app.pair.a.db, "waits.example").await;
    let (a, b) = (&app.pair.a.config, &app.pair.b.config);
    let everything = format!("{{ user: \"{}\", password: \"{PASSWORD}\" }}", a.app_name);
    app.nats.reload(users(&[admin(), everything, user(b, PASSWORD, &[])])).await.expect("the users change");
    app.pair.b.config = app.pair.b.config.clone().auto_provision(false);
    app.pair.b.start().await;
    app.pair.b.has(&row).await;
    app.nothing_is_wrong().await;
    app.pair.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_is_refused_at_start_and_seen_while_running() {
    let mut app = Restricted::create(&[]).await;
    let wrong = app.pair.a.config.nats_url.replace(PASSWORD, "open-barley");
    let began = Instant::now();
    let refused = jsb_runtime::start(app.pair.a.config.clone().nats_url(wrong), app.pair.a.db.clone()).await;
    let error = refused.expect_err("a wrong password").to_string();
    assert!(began.elapsed() < SILENCE, "it was said after {:?}", began.elapsed());
    assert!(error.contains("refuses this app's credentials") && error.contains("NATS_URL"), "{error}");
    assert!(!error.contains("barley"), "{error}");

    app.pair.start_both().await;
    app.syncs("before").await;
    let (a, b) = (&app.pair.a.config, &app.pair.b.config);
    let changed = users(&[admin(), user(a, "open-rye", &[]), user(b, PASSWORD, &[])]);
    app.nats.reload(changed).await.expect("the password changes");
    app.a_has_problem("refuses this app's credentials").await;
    let row = organization::saved(&app.pair.a.db, "waits.example").await;
    app.grant_everything().await;
    app.pair.b.has(&row).await;
    app.nothing_is_wrong().await;
    app.pair.stop().await;
}
