//! Promise 9, at the application's end: what NATS denies is a clear error at once and a problem in the status, holds up
//! nothing else, and is over as soon as it is granted.

use std::time::{Duration, Instant};

use async_nats::ConnectOptions;
use async_nats::jetstream::consumer::{AckPolicy, pull};
use async_nats::jetstream::{self, stream};
use dev_servers::{NatsOptions, NatsServer};
use futures_util::{FutureExt, StreamExt};
use jsb_runtime::Config;
use jsb_tests::entities::organization;
use jsb_tests::probe::{self, Orders};
use jsb_tests::{App, Backend, DEADLINE, Pair, effects, eventually, until};

/// How long a request waited that was denied in silence.
const SILENCE: Duration = Duration::from_secs(5);

/// The password of everybody.
const PASSWORD: &str = "open-sesame";

/// A pair whose apps may do exactly what they must, on a server of their own, with stream and consumers made for them.
struct Restricted {
    nats: NatsServer,
    admin: jetstream::Context,
    pair: Pair,
}

impl Restricted {
    /// Nothing runs yet. `denied`: fragments of the permissions that A lacks.
    async fn create(denied: &[&str]) -> Self {
        Self::configured(denied, |config| config).await
    }

    async fn configured(denied: &[&str], change: impl Fn(Config) -> Config) -> Self {
        let options = NatsOptions { config: users(&[admin()]), ..Default::default() };
        let nats = NatsServer::start(options).await.expect("nats-server starts");
        let port = nats.port();
        let pair = Pair::configured(Backend::Sqlite, |config| {
            let url = format!("nats://{}:{PASSWORD}@127.0.0.1:{port}", config.app_name);
            change(config.nats_url(url).auto_provision(false))
        })
        .await;
        let options = ConnectOptions::with_user_and_password("admin".to_owned(), PASSWORD.to_owned());
        let admin = jetstream::new(options.connect(nats.url()).await.expect("an administrator"));
        let mut restricted = Self { nats, admin, pair };
        restricted.provision().await;
        restricted.deny(denied).await;
        restricted
    }

    /// Starts both apps.
    async fn start(denied: &[&str]) -> Self {
        let mut restricted = Self::create(denied).await;
        restricted.pair.start_both().await;
        restricted
    }

    async fn provision(&self) {
        let (a, b) = (&self.pair.a.config, &self.pair.b.config);
        let subjects = [(a, b), (b, a)].into_iter().flat_map(|(app, other)| {
            [format!("{}.sync.{}", app.app_name, other.app_name), format!("{}.sync.dlq", app.app_name)]
        });
        let config = stream::Config { name: a.stream_name.clone(), subjects: subjects.collect(), ..Default::default() };
        let stream = self.admin.create_stream(config).await.expect("a stream");
        for (app, other) in [(a, b), (b, a)] {
            let durable = pull::Config {
                durable_name: Some(format!("{}-workers", app.app_name)),
                ack_policy: AckPolicy::Explicit,
                ack_wait: app.ack_wait,
                max_deliver: app.max_deliver.into(),
                backoff: app.backoff.clone(),
                max_ack_pending: 20_000,
                filter_subject: format!("{}.sync.{}", other.app_name, app.app_name),
                ..Default::default()
            };
            stream.create_consumer(durable).await.expect("a durable");
        }
    }

    /// Takes from A the permissions that contain one of these fragments, and gives everything else.
    async fn deny(&mut self, fragments: &[&str]) {
        let (a, b) = (&self.pair.a.config, &self.pair.b.config);
        let config = users(&[admin(), user(a, PASSWORD, fragments), user(b, PASSWORD, &[])]);
        self.nats.reload(config).await.expect("the users change");
    }

    async fn grant_everything(&mut self) {
        self.deny(&[]).await;
    }

    /// How often the server denied anything.
    fn violations(&self) -> usize {
        self.nats.log().matches("Violation").count()
    }

    /// Waits until one side's status names `problem`, and says so by then.
    async fn a_has_problem(&self, problem: &str) -> String {
        has_problem(&self.pair.a, problem).await
    }

    async fn nothing_is_wrong(&self) {
        eventually("nothing is wrong", || async {
            let problems = [self.pair.a.status().await.problems, self.pair.b.status().await.problems].concat();
            if problems.is_empty() { Ok(Some(())) } else { Err(problems) }
        })
        .await;
    }

    /// Both directions work.
    async fn syncs(&self, occasion: &str) {
        for (from, to) in [(&self.pair.a, &self.pair.b), (&self.pair.b, &self.pair.a)] {
            let row = organization::saved(&from.db, &format!("{occasion}.{}.example", from.config.app_name)).await;
            to.has(&row).await;
        }
    }
}

async fn has_problem(app: &App, problem: &str) -> String {
    eventually(&format!("the status names {problem}"), || async {
        let problems = app.status().await.problems;
        problems.iter().find(|text| text.contains(problem)).cloned().map(Some).ok_or(problems)
    })
    .await
}

fn admin() -> String {
    format!("{{ user: admin, password: {PASSWORD} }}")
}

fn users(users: &[String]) -> String {
    format!("authorization {{ users = [ {} ] }}", users.join(", "))
}

/// The user of an app, without the permissions that contain one of the fragments.
fn user(config: &Config, password: &str, denied: &[&str]) -> String {
    let (app, other, stream) = (&config.app_name, &config.destination_app, &config.stream_name);
    let allowed = |permissions: Vec<String>| {
        let is_denied = |permission: &str| denied.iter().any(|fragment| permission.contains(fragment));
        serde_json::to_string(&permissions.into_iter().filter(|one| !is_denied(one)).collect::<Vec<_>>())
            .expect("a list of texts")
    };
    let publish = allowed(vec![
        format!("{app}.sync.{other}"),
        format!("{app}.sync.dlq"),
        format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.{app}-workers"),
        format!("$JS.API.CONSUMER.INFO.{stream}.{app}-workers"),
        format!("$JS.API.STREAM.MSG.GET.{stream}"),
        format!("$JS.ACK.{stream}.{app}-workers.*.*.*.*.*"),
        format!("$JS.ACK.*.*.{stream}.{app}-workers.*.*.*.*.*"),
        format!("$JS.ACK.*.*.{stream}.{app}-workers.*.*.*.*.*.>"),
    ]);
    let subscribe = allowed(vec![
        format!("_INBOX.{app}.>"),
        format!("$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.{stream}.{app}-workers"),
    ]);
    format!(
        "{{ user: \"{app}\", password: \"{password}\", permissions: {{ publish: {publish}, subscribe: {subscribe} }} }}"
    )
}

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

impl Restricted {
    /// Has B's consumer deliver a message to somebody who forgets it.
    async fn delivered_to_nobody(&self) {
        let b = &self.pair.b.config;
        let stream = self.admin.get_stream(&b.stream_name).await.expect("the stream");
        let durable: jetstream::consumer::PullConsumer =
            stream.get_consumer(&format!("{}-workers", b.app_name)).await.expect("the durable");
        let mut messages = durable.batch().max_messages(1).messages().await.expect("a request");
        messages.next().await.expect("a message").expect("a delivery");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_denied_publish_is_said_at_once_and_the_event_waits() {
    let mut app = Restricted::start(&[".sync.b-"]).await;
    let began = Instant::now();
    let row = organization::saved(&app.pair.a.db, "denied.example").await;
    let problem = app.a_has_problem("publish to `a-").await;
    assert!(problem.contains("events wait in the outbox") && problem.contains("jsb permissions"), "{problem}");
    // The relay has its answer at once: otherwise it could not have tried a second time by now.
    app.a_has_problem("(times: 2").await;
    assert!(began.elapsed() < SILENCE, "the second attempt came after {:?}", began.elapsed());
    let attempts = app.pair.a.texts("SELECT CAST(attempts AS TEXT) || status FROM outbox_events").await;
    assert_eq!(attempts, ["0pending"], "a denial is not held against the event");
    let from_b = organization::saved(&app.pair.b.db, "not-denied.example").await;
    app.pair.a.has(&from_b).await;
    app.grant_everything().await;
    app.pair.b.has(&row).await;
    app.nothing_is_wrong().await;
    app.pair.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_denied_for_long_goes_out_with_the_connection_on_which_it_is_granted() {
    let mut app = Restricted::start(&[".sync.b-"]).await;
    let row = organization::saved(&app.pair.a.db, "denied.example").await;
    // The next attempt comes twelve to sixteen seconds after the fifth.
    app.a_has_problem("(times: 5").await;
    app.grant_everything().await;
    app.nats.restart().await.expect("nats-server starts");
    let granted = Instant::now();
    app.pair.b.has(&row).await;
    assert!(granted.elapsed() < Duration::from_secs(10), "it went out after {:?}", granted.elapsed());
    app.pair.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_events_that_are_denied_are_tried_one_at_a_time() {
    let app = Restricted::start(&[".sync.b-"]).await;
    for row in 0..50 {
        organization::saved(&app.pair.a.db, &format!("{row}.example")).await;
    }
    let before = app.violations();
    until("it was tried again and again", async || app.violations() >= before + 3).await;
    let tried = app.violations() - before;
    assert!(tried < 25, "three attempts at fifty events were denied {tried} times");
    app.pair.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_that_may_not_be_read_are_taken_for_what_is_configured() {
    let mut app = Restricted::create(&["CONSUMER.INFO"]).await;
    let began = Instant::now();
    app.pair.start_both().await;
    assert!(began.elapsed() < SILENCE, "both started after {:?}", began.elapsed());
    let problem = app.a_has_problem("CONSUMER.INFO").await;
    assert!(problem.contains("could not be checked"), "{problem}");
    app.syncs("unchecked").await;
    assert!(app.pair.a.status().await.jetstream_connected);
    app.grant_everything().await;
    app.nothing_is_wrong().await;
    app.syncs("checked").await;
    app.pair.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sweep_that_may_not_look_stops_nothing() {
    let mut app = Restricted::create(&[]).await;
    app.pair.b.start().await;
    organization::saved(&app.pair.b.db, "spent.example").await;
    app.swap();
    app.delivered_to_nobody().await;
    app.swap();
    app.deny(&["STREAM.MSG.GET"]).await;
    app.pair.a.start().await;
    let problem = app.a_has_problem("STREAM.MSG.GET").await;
    assert!(problem.contains("not looked for"), "{problem}");
    let place = async || app.pair.a.texts("SELECT CAST(swept_seq AS text) FROM sync_settings").await;
    let looked_up_to = place().await;
    let (began, before) = (Instant::now(), app.violations());
    for occasion in ["blind", "and", "not", "asking", "all", "the", "time"] {
        app.syncs(occasion).await;
    }
    let asked = (app.violations() - before) as u64;
    assert!(asked <= 1 + began.elapsed().as_secs() / 10, "it was denied {asked} times in {:?}", began.elapsed());

    // The next start is to look from there on, however far the server is.
    let stream = app.admin.get_stream(&app.pair.a.config.stream_name).await.expect("the stream");
    let durable = format!("{}-workers", app.pair.a.config.app_name);
    eventually("the server is done with what was not looked at", || async {
        let info = stream.consumer_info(&durable).await?;
        Ok::<_, async_nats::Error>((info.ack_floor.stream_sequence > 0).then_some(()))
    })
    .await;
    let asks = format!("$JS.API.CONSUMER.INFO.*.{durable}");
    let asks = app.admin.client().subscribe(asks).await.expect("a subscription");
    // Of these at least three, one after the other, are after the place up to which all is settled.
    let asked = tokio::time::timeout(DEADLINE, asks.take(6).count()).await;
    assert_eq!(asked, Ok(6), "how far the server is");
    assert_eq!(place().await, looked_up_to);
    app.grant_everything().await;
    app.nothing_is_wrong().await;
    app.pair.stop().await;
}

impl Restricted {
    fn swap(&mut self) {
        std::mem::swap(&mut self.pair.a, &mut self.pair.b);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn advisories_that_are_denied_stop_nothing() {
    let mut app = Restricted::start(&["ADVISORY"]).await;
    let problem = app.a_has_problem("subscribe to `$JS.EVENT.ADVISORY").await;
    assert!(problem.contains("not looked for"), "{problem}");
    app.syncs("deaf-to-advisories").await;
    app.grant_everything().await;
    app.nothing_is_wrong().await;
    app.pair.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_denied_pull_is_said_at_once_and_does_not_spin() {
    let mut app = Restricted::start(&["MSG.NEXT"]).await;
    let began = Instant::now();
    let problem = app.a_has_problem("MSG.NEXT").await;
    assert!(problem.contains("nothing is received"), "{problem}");
    app.a_has_problem("(times: 4").await;
    assert!(began.elapsed() < SILENCE, "the fourth attempt came after {:?}", began.elapsed());
    // A publishes all the while, and pulls ever more seldom.
    let from_a = organization::saved(&app.pair.a.db, "still-sent.example").await;
    app.pair.b.has(&from_a).await;
    let asks = format!("$JS.API.CONSUMER.INFO.*.{}-workers", app.pair.a.config.app_name);
    let mut asked = app.admin.client().subscribe(asks).await.expect("a subscription");
    let (before, began) = (app.violations(), Instant::now());
    until("some time has passed", async || began.elapsed() >= SILENCE).await;
    let denied = app.violations() - before;
    assert!(denied < 10, "{denied} pulls were denied within {SILENCE:?}");
    let mut looks = 0;
    while asked.next().now_or_never().flatten().is_some() {
        looks += 1;
    }
    // One every five seconds is after the place up to which all is settled.
    assert!(
        looks <= 2,
        "there is nothing to attach to again, which would hold up what is published, but {looks} times"
    );
    let from_b = organization::saved(&app.pair.b.db, "received-late.example").await;
    app.grant_everything().await;
    app.pair.a.has(&from_b).await;
    app.nothing_is_wrong().await;
    app.pair.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_denied_acknowledgement_is_a_problem_until_it_is_answered() {
    let mut app = Restricted::start(&["$JS.ACK"]).await;
    let probe = probe::send(&app.pair.b.db, "record", Orders::default()).await;
    let problem = app.a_has_problem("publish to `$JS.ACK.").await;
    assert!(problem.contains("delivers again what is done"), "{problem}");
    app.grant_everything().await;
    app.nothing_is_wrong().await;
    app.syncs("acknowledged").await;
    assert_eq!(effects::count(&app.pair.a.db, &probe.id).await.expect("a count"), 1);
    let stream = app.admin.get_stream(&app.pair.a.config.stream_name).await.expect("the stream");
    let durable = format!("{}-workers", app.pair.a.config.app_name);
    eventually("the server knows that all is done", || async {
        let info = stream.consumer_info(&durable).await?;
        Ok::<_, async_nats::Error>((info.num_ack_pending == 0 && info.num_pending == 0).then_some(()))
    })
    .await;
    app.pair.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_that_may_not_receive_answers_says_so_and_recovers() {
    let mut app = Restricted::start(&[]).await;
    app.syncs("before").await;
    app.deny(&["_INBOX"]).await;
    let began = Instant::now();
    let problem = app.a_has_problem("subscribe to `_INBOX.a-").await;
    assert!(began.elapsed() < SILENCE, "it was said after {:?}", began.elapsed());
    assert!(problem.contains("no answer"), "{problem}");
    let row = organization::saved(&app.pair.a.db, "waits.example").await;
    app.grant_everything().await;
    app.pair.b.has(&row).await;
    app.nothing_is_wrong().await;
    app.syncs("after").await;
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
