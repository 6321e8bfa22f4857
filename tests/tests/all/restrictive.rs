//! Applications that may not provision: they find what an operator made, say what is wrong with it, and manage nothing.

use async_nats::jetstream::consumer::{FromConsumer, pull};
use dev_servers::{NatsOptions, NatsServer};
use futures_util::StreamExt;
use jsb_runtime::operate::{Connection, Provisioner};
use jsb_runtime::topology::Wanted;
use jsb_runtime::{Config, ProvisionError, StartError};
use jsb_tests::entities::organization;
use jsb_tests::{App, Backend, DEADLINE, Pair, until};

async fn restrictive_pair() -> Pair {
    Pair::configured(Backend::Sqlite, |config| config.auto_provision(false)).await
}

/// Does what `jsb provision` does, with the settings of `config`.
async fn provision(config: &Config) {
    let wanted = Wanted::pairs(config, [(&config.app_name, &config.destination_app)]).expect("a pair");
    let connection = Connection::open(config.clone()).await.expect("a connection");
    let provisioner = Provisioner::new(&connection, wanted);
    let plan = provisioner.plan().await.expect("a plan");
    provisioner.apply(&plan, |_| ()).await.expect("a provisioned pair");
    connection.close().await;
}

async fn refusal(app: &App) -> ProvisionError {
    match jsb_runtime::start(app.config.clone(), app.db.clone()).await {
        Err(StartError::Provision(error)) => error,
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("it starts"),
    }
}

async fn syncs_both_ways(pair: &Pair, round: u32) {
    pair.b.has(&organization::saved(&pair.a.db, &format!("a{round}.example")).await).await;
    pair.a.has(&organization::saved(&pair.b.db, &format!("b{round}.example")).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_does_not_start_before_it_is_provisioned_and_syncs_after() {
    let mut pair = restrictive_pair().await;
    let error = refusal(&pair.a).await;
    assert!(matches!(error, ProvisionError::Missing { .. }), "{error}");
    let said = error.to_string();
    assert!(said.starts_with("not provisioned: ") && said.ends_with("run `jsb provision`"), "{said}");
    assert!(said.contains(&pair.a.config.stream_name) && said.contains(&pair.a.config.app_name), "{said}");

    provision(&pair.a.config).await;
    pair.start_both().await;
    syncs_both_ways(&pair, 1).await;
    pair.stop().await;
}

#[tokio::test]
async fn a_stream_without_the_consumer_is_not_provisioned_either() {
    let pair = restrictive_pair().await;
    let stream = pair.a.stream().await;
    let name = &pair.a.config.stream_name;
    stream.create(async_nats::jetstream::stream::Config { subjects: vec![name.clone()], ..Default::default() }).await;
    assert!(matches!(refusal(&pair.a).await, ProvisionError::Missing { .. }));
}

#[tokio::test]
async fn an_app_that_is_configured_otherwise_than_its_consumer_does_not_start() {
    let pair = restrictive_pair().await;
    let backoff = [2, 4].map(std::time::Duration::from_secs);
    provision(&pair.a.config.clone().max_deliver(9).backoff(backoff)).await;
    let error = refusal(&pair.a).await;
    let ProvisionError::Differs { differences, .. } = &error else { panic!("{error}") };
    let said: Vec<String> = differences.iter().map(ToString::to_string).collect();
    assert_eq!(said, ["ack_wait: 2s -> 1s", "max_deliver: 9 -> 5", "backoff: 2s, 4s -> 1s, 5s, 15s, 30s, 1m"]);
    let text = error.to_string();
    assert!(said.iter().all(|line| text.contains(line)) && text.contains("jsb provision"), "{text}");
}

#[tokio::test]
async fn a_consumer_that_pushes_cannot_be_used() {
    use async_nats::jetstream::consumer::push;
    let pair = restrictive_pair().await;
    provision(&pair.a.config).await;
    let (context, name) = (pair.a.stream().await.context, &pair.a.config.stream_name);
    let durable = format!("{}-workers", pair.a.config.app_name);
    context.delete_consumer_from_stream(&durable, name).await.expect("no consumer");
    let deliver_subject = format!("push-{name}");
    let pushing = push::Config { durable_name: Some(durable), deliver_subject, ..Default::default() };
    context.create_consumer_on_stream(pushing, name).await.expect("a consumer");
    let error = refusal(&pair.a).await;
    assert!(
        matches!(error, ProvisionError::Differs { .. }) && error.to_string().contains("deliver_subject"),
        "{error}"
    );
}

/// The subjects of the requests that a pair's server got while the pair started and synced a row each way.
async fn requests(auto_provision: bool) -> (Pair, Vec<String>) {
    let nats = NatsServer::start(NatsOptions::default()).await.expect("nats-server starts");
    let url = nats.url();
    let change = |config: Config| config.auto_provision(auto_provision).nats_url(url.as_str());
    let mut pair = Pair::configured(Backend::Sqlite, change).await;
    provision(&pair.a.config).await;
    let listener = async_nats::connect(nats.url()).await.expect("a connection");
    let heard = listener.subscribe("$JS.API.>").await.expect("a subscription");
    listener.flush().await.expect("a subscription that the server has");
    pair.start_both().await;
    syncs_both_ways(&pair, 1).await;
    pair.a.stop().await;
    pair.b.stop().await;
    // The last of them, by which all that came before are heard.
    listener.publish("$JS.API.END", "".into()).await.expect("a message");
    let heard = heard.map(|message| message.subject.to_string());
    let heard = heard.take_while(|subject| std::future::ready(subject != "$JS.API.END")).collect().await;
    (pair, heard)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_that_may_not_provision_manages_nothing() {
    let (pair, heard) = requests(false).await;
    let stream = &pair.a.config.stream_name;
    let allowed: Vec<String> = [&pair.a, &pair.b]
        .iter()
        .flat_map(|app| ["INFO", "MSG.NEXT"].map(|what| (what, &app.config.app_name)))
        .map(|(what, app)| format!("$JS.API.CONSUMER.{what}.{stream}.{app}-workers"))
        .collect();
    assert!(heard.iter().all(|subject| allowed.contains(subject)), "{heard:?}");
    assert!(allowed.iter().all(|subject| heard.contains(subject)), "{heard:?}");

    let (_, heard) = requests(true).await;
    assert!(heard.contains(&"$JS.API.STREAM.NAMES".to_owned()), "one that provisions is heard: {heard:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_app_goes_on_with_other_settings_and_waits_for_what_is_gone() {
    let mut nats = NatsServer::start(NatsOptions::default()).await.expect("nats-server starts");
    let url = nats.url();
    let mut pair =
        Pair::configured(Backend::Sqlite, |config| config.auto_provision(false).nats_url(url.as_str())).await;
    provision(&pair.a.config).await;
    pair.start_both().await;
    syncs_both_ways(&pair, 1).await;

    provision(&pair.a.config.clone().max_deliver(9)).await;
    nats.restart().await.expect("nats-server starts");
    syncs_both_ways(&pair, 2).await;

    let stream = pair.a.stream().await;
    stream.context.delete_stream(&pair.a.config.stream_name).await.expect("no stream");
    nats.restart().await.expect("nats-server starts");
    let row = organization::saved(&pair.a.db, "later.example").await;
    pair.a.until_detached().await;
    assert_eq!(pair.a.status().await.pending_events, 1);
    provision(&pair.a.config).await;
    pair.b.has(&row).await;
    syncs_both_ways(&pair, 3).await;
    pair.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_that_are_changed_meanwhile_are_seen_and_so_is_that_they_are_mended() {
    let mut pair = restrictive_pair().await;
    provision(&pair.a.config).await;
    pair.a.start().await;
    let differs = async |app: &App| app.status().await.problems.iter().any(|problem| problem.contains("max_deliver"));
    for (max_deliver, expected) in [(9, true), (pair.a.config.max_deliver, false)] {
        provision(&pair.a.config.clone().max_deliver(max_deliver)).await;
        until("the app has seen it", async || differs(&pair.a).await == expected).await;
    }
    pair.a.stop().await;
}

/// Without bodies every event would be dead.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_app_lets_go_of_a_consumer_that_would_lose_events() {
    let mut pair = restrictive_pair().await;
    provision(&pair.a.config).await;
    pair.start_both().await;
    let stream = pair.b.stream().await;
    let mut settings = stream.progress(&pair.b.config.app_name).await.config;
    settings.headers_only = true;
    let of_b =
        |settings| stream.context.create_consumer_on_stream::<pull::Config, _>(settings, &pair.b.config.stream_name);
    let pulled = pull::Config::try_from_consumer_config(settings.clone()).expect("a pull consumer");
    of_b(pulled).await.expect("a changed consumer");
    until("it is let go of", async || {
        let status = pair.b.status().await;
        let says_so = status.problems.iter().any(|problem| problem.contains("headers_only"));
        says_so && !status.jetstream_connected
    })
    .await;
    let row = organization::saved(&pair.a.db, "later.example").await;
    provision(&pair.a.config).await;
    pair.b.has(&row).await;
    pair.stop().await;
}

/// Else processes of two settings, as in a rolling upgrade, would change the consumer to and fro.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_that_provisions_leaves_settings_alone_that_are_changed_while_it_runs() {
    let nats = NatsServer::start(NatsOptions::default()).await.expect("nats-server starts");
    let mut pair = Pair::configured(Backend::Sqlite, |config| config.nats_url(nats.url())).await;
    pair.a.start().await;
    provision(&pair.a.config.clone().max_deliver(9)).await;
    let listener = async_nats::connect(nats.url()).await.expect("a connection");
    let mut heard = listener.subscribe("$JS.API.CONSUMER.>").await.expect("a subscription");
    let (mut looks, mut changes) = (0, Vec::new());
    // It looks, finds other settings, looks once more, and looks again at its next time.
    while looks < 3 {
        let request = tokio::time::timeout(DEADLINE, heard.next()).await.expect("a request in time");
        let subject = request.expect("a request").subject.to_string();
        looks += usize::from(subject.contains(".INFO."));
        changes.extend(Some(subject).filter(|subject| subject.contains("CREATE")));
    }
    assert!(changes.is_empty(), "{changes:?}");
    assert_eq!(pair.a.progress().await.config.max_deliver, 9);
    pair.a.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn apps_that_provision_for_themselves_may_start_at_the_same_time() {
    for _ in 0..10 {
        let month = |config: &Config| if config.app_name.starts_with("a-") { 30 } else { 31 };
        let mut pair = Pair::configured(Backend::Sqlite, |config| {
            let age = std::time::Duration::from_secs(month(&config) * 24 * 60 * 60);
            config.stream_max_age(age)
        })
        .await;
        tokio::join!(pair.a.start(), pair.b.start());
        let (a, b) = (pair.a.status().await, pair.b.status().await);
        assert!(a.jetstream_connected && b.jetstream_connected, "{a:?} {b:?}");
        pair.stop().await;
    }
}
