//! Every way to say who one is and whom one trusts: a pair syncs by it, and no secret is shown by anybody.

use std::time::Duration;

use dev_servers::{NatsOptions, NatsServer};
use jsb_runtime::Config;
use jsb_runtime::operate::Connection;
use jsb_tests::entities::{label, organization};
use jsb_tests::identity::{Authority, Operator};
use jsb_tests::probe::{self, Orders};
use jsb_tests::{App, Backend, ChildCommand, Pair, eventually, until};
use nkeys::KeyPair;
use sea_orm::ActiveValue::Set;
use sea_orm::{EntityTrait, PaginatorTrait};
use tempfile::NamedTempFile;

async fn server(config: impl Into<String>) -> NatsServer {
    NatsServer::start(NatsOptions { config: config.into(), ..Default::default() }).await.expect("nats-server starts")
}

/// A pair on this server, with these credentials in its URL.
async fn pair_on(nats: &NatsServer, credentials: &str, change: impl Fn(Config) -> Config) -> Pair {
    let url = format!("nats://{credentials}127.0.0.1:{}", nats.port());
    Pair::configured(Backend::Sqlite, |config| change(config.nats_url(url.as_str()))).await
}

fn file(text: &str) -> NamedTempFile {
    let file = NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), text).expect("a file");
    file
}

fn label(code: &str, bytes: usize) -> label::ActiveModel {
    label::ActiveModel { code: Set(code.to_owned()), caption: Set("x".repeat(bytes)), ..Default::default() }
}

async fn goes_over(from: &App, to: &App) {
    let row = organization::new(format!("{}.example", from.config.app_name)).insert(&from.db).await.expect("a save");
    to.has(&row).await;
}

/// A pair syncs, here and in a process of its own that tells everything it does, in which none of the secrets stands.
async fn syncs_in_secret(mut pair: Pair, secrets: &[&str]) {
    let shown = format!("{:?}", pair.a.config);
    let log = file("");
    let mut child = ChildCommand::new(env!("CARGO_BIN_EXE_app"), &pair.a).logging_to(log.path()).start().await;
    pair.b.start().await;
    child.order("save child.example", "saved").await;
    eventually("the child's row arrives", || organization::Entity::find().one(&pair.b.db)).await;
    child.stop().await;
    let logged = std::fs::read_to_string(log.path()).expect("a log");
    assert!(logged.contains("connected to NATS") && logged.contains("TRACE"), "the log is complete:\n{logged}");
    is_silent(&[&shown, &logged], secrets);

    pair.a.start().await;
    goes_over(&pair.a, &pair.b).await;
    goes_over(&pair.b, &pair.a).await;
    for app in [&pair.a, &pair.b] {
        assert_eq!(app.status().await.problems, [""; 0]);
    }
    pair.stop().await;
}

fn is_silent(texts: &[&str], secrets: &[&str]) {
    for (text, secret) in texts.iter().flat_map(|text| secrets.iter().map(move |secret| (text, secret))) {
        let line = text.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "a secret is shown");
    }
}

/// A pair whose A is refused at start, which says so and ends, and shows nothing that is secret.
async fn is_refused_in_secret(pair: Pair, says: &str, secrets: &[&str]) {
    let log = file("");
    let ended = ChildCommand::new(env!("CARGO_BIN_EXE_app"), &pair.a).logging_to(log.path()).run().await;
    let logged = std::fs::read_to_string(log.path()).expect("a log");
    assert!(!ended.success() && logged.contains(says), "{logged}");
    is_silent(&[&logged], secrets);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn user_and_password() {
    // What stands in a URL in another form.
    let nats = server(r#"authorization { user: "an n@", password: "pass,w:rd/é?" }"#).await;
    let pair = pair_on(&nats, "an%20n%40:pass%2Cw%3Ard%2F%C3%A9%3F@", |config| config).await;
    syncs_in_secret(pair, &["pass,w", "pass%2Cw"]).await;
    let pair = pair_on(&nats, "an%20n%40:not-that-one@", |config| config).await;
    is_refused_in_secret(pair, "refuses this app's credentials", &["not-that-one"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token() {
    let nats = server("authorization { token: open-sesame }").await;
    syncs_in_secret(pair_on(&nats, "open-sesame@", |config| config).await, &["sesame"]).await;
    let pair = pair_on(&nats, "open-barley@", |config| config).await;
    is_refused_in_secret(pair, "refuses this app's credentials", &["barley"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_nkey() {
    let (user, other) = (KeyPair::new_user(), KeyPair::new_user());
    let (seed, other) = (user.seed().expect("a seed"), other.seed().expect("a seed"));
    let nats = server(format!("authorization {{ users = [ {{ nkey: {} }} ] }}", user.public_key())).await;
    let key = file(&format!("{seed}\n"));
    let pair = pair_on(&nats, "", |config| config.nats_nkey(key.path().to_owned())).await;
    syncs_in_secret(pair, &[&seed]).await;
    let key = file(&other);
    let pair = pair_on(&nats, "", |config| config.nats_nkey(key.path().to_owned())).await;
    is_refused_in_secret(pair, "refuses this app's credentials", &[&other]).await;
    let key = file("SU-no-seed");
    let pair = pair_on(&nats, "", |config| config.nats_nkey(key.path().to_owned())).await;
    is_refused_in_secret(pair, "NATS_NKEY", &["SU-no-seed"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_credentials_file() {
    let (operator, other) = (Operator::create(), Operator::create());
    let nats = server(operator.config).await;
    let creds = file(&operator.credentials);
    let pair = pair_on(&nats, "", |config| config.nats_creds(creds.path().to_owned())).await;
    syncs_in_secret(pair, &[&operator.seed]).await;
    let creds = file(&other.credentials);
    let pair = pair_on(&nats, "", |config| config.nats_creds(creds.path().to_owned())).await;
    is_refused_in_secret(pair, "refuses this app's credentials", &[&other.seed]).await;
    let creds = file(&operator.seed);
    let pair = pair_on(&nats, "", |config| config.nats_creds(creds.path().to_owned())).await;
    is_refused_in_secret(pair, "NATS_CREDS", &[&operator.seed]).await;
}

/// Of a limit below the server's own a client hears too late: the server ends its connection.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_too_large_for_the_user_alone_holds_nobody_up() {
    let operator = Operator::with_payload(65_536);
    let nats = server(operator.config).await;
    let creds = file(&operator.credentials);
    let mut pair = pair_on(&nats, "", |config| config.nats_creds(creds.path().to_owned())).await;
    let [before, large, after] = [1, 120_000, 2].map(|bytes| label(&format!("{bytes}"), bytes));
    for row in [before, large, after] {
        row.insert(&pair.a.db).await.expect("a save");
    }
    pair.start_both().await;
    until("the others are there", async || label::Entity::find().count(&pair.b.db).await == Ok(2)).await;
    pair.a.has_events("outbox_events", "failed", 1).await;
    assert!(
        pair.a.texts("SELECT last_error FROM outbox_events WHERE status = 'failed'").await[0].contains("larger than")
    );
    goes_over(&pair.a, &pair.b).await;

    // Its letter does not fit, and is none of what is saved at the same time.
    let orders = Orders { ballast: "x".repeat(64_600), ..Orders::default() };
    probe::send(&pair.a.db, "refuse", orders).await;
    eventually("its letter is taken", || async {
        for (number, app) in [&pair.a, &pair.b].into_iter().enumerate() {
            label(&format!("beside {number} {}", uuid::Uuid::now_v7()), 1).insert(&app.db).await?;
        }
        Ok::<_, sea_orm::DbErr>((pair.b.count("inbox_events", "dead").await == 1).then_some(()))
    })
    .await;
    pair.quiet().await;
    assert_eq!((pair.a.count("outbox_events", "failed").await, pair.b.count("outbox_events", "failed").await), (1, 0));
    pair.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_with_an_authority_of_its_own() {
    let (authority, stranger) = (Authority::create(), Authority::create());
    let nats = server(format!("{}\nauthorization {{ token: open-sesame }}", authority.config(""))).await;
    let trusting = |authority: &Authority| {
        let root = authority.file("ca.pem");
        move |config: Config| config.nats_ca(root.clone())
    };
    syncs_in_secret(pair_on(&nats, "open-sesame@", trusting(&authority)).await, &["sesame"]).await;

    // Whoever answers with another authority's certificate is not told the token.
    let mut pair = pair_on(&nats, "open-sesame@", trusting(&stranger)).await;
    pair.a.start().await;
    has_problem(&pair.a, "TLS handshake").await;
    assert!(!pair.a.status().await.jetstream_connected);
    pair.a.stop().await;
    let refused = Connection::open_within(Duration::from_secs(3), pair.a.config.clone()).await;
    let refused = refused.expect_err("no connection").to_string();
    assert!(refused.contains("TLS handshake") && refused.contains("NATS_CA"), "{refused}");
    is_silent(&[&refused], &["sesame"]);

    let root = file("no certificate");
    let pair = pair_on(&nats, "open-sesame@", |config| config.nats_ca(root.path().to_owned())).await;
    is_refused_in_secret(pair, "NATS_CA", &["sesame"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_that_is_asked_for_is_not_done_without() {
    let (authority, nats) = (Authority::create(), server("authorization { token: open-sesame }").await);
    let mut pair = pair_on(&nats, "open-sesame@", |config| config.nats_ca(authority.file("ca.pem"))).await;
    pair.a.start().await;
    has_problem(&pair.a, "TLS handshake").await;
    assert!(!pair.a.status().await.jetstream_connected);
    pair.a.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mutual_tls() {
    let authority = Authority::create();
    let nats = server(authority.config("verify: true")).await;
    let with_certificate = |config: Config| {
        let files = ["ca.pem", "client.pem", "client.key"].map(|name| authority.file(name));
        let [root, certificate, key] = files;
        config.nats_ca(root).nats_cert(certificate).nats_key(key)
    };
    let key = std::fs::read_to_string(authority.file("client.key")).expect("a key");
    let key = key.lines().nth(1).expect("a line of the key");
    syncs_in_secret(pair_on(&nats, "", with_certificate).await, &[key]).await;

    let mut pair = pair_on(&nats, "", |config| config.nats_ca(authority.file("ca.pem"))).await;
    pair.a.start().await;
    has_problem(&pair.a, "TLS handshake").await;
    assert!(!pair.a.status().await.jetstream_connected);
    pair.a.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_is_wrong_for_a_while() {
    let (authority, stranger) = (Authority::create(), Authority::create());
    let mut nats = server(authority.config("")).await;
    nats.stop().await;
    let mut pair = pair_on(&nats, "", |config| config.nats_ca(authority.file("ca.pem"))).await;
    pair.start_both().await;
    has_problem(&pair.a, "NATS is away").await;
    for (certificate, problem) in [(stranger.config(""), Some("TLS handshake")), (authority.config(""), None)] {
        nats.stop().await;
        nats.reload(certificate).await.expect("the configuration for the next start");
        nats.restart().await.expect("nats-server starts");
        if let Some(problem) = problem {
            has_problem(&pair.a, problem).await;
        }
    }
    goes_over(&pair.a, &pair.b).await;
    assert_eq!(pair.a.status().await.problems, [""; 0]);
    pair.stop().await;
}

/// Waits until the status has a problem that contains this text.
async fn has_problem(app: &App, text: &str) {
    eventually(&format!("the status names {text}"), || async {
        let problems = app.status().await.problems;
        if problems.iter().any(|problem| problem.contains(text)) { Ok(Some(())) } else { Err(problems) }
    })
    .await;
}
