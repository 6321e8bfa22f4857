//! A pair whose users may do just what they must.

use async_nats::ConnectOptions;
use async_nats::jetstream::consumer::{AckPolicy, pull};
use async_nats::jetstream::{self, stream};
use dev_servers::{NatsOptions, NatsServer};
use futures_util::StreamExt;
use jsb_runtime::Config;
use jsb_tests::entities::organization;
use jsb_tests::{Backend, Pair, eventually};

use super::has_problem;

/// The password of everybody.
pub(super) const PASSWORD: &str = "open-sesame";

/// A pair whose apps may do exactly what they must, on a server of their own, with stream and consumers made for them.
pub(super) struct Restricted {
    pub(super) nats: NatsServer,
    pub(super) admin: jetstream::Context,
    pub(super) pair: Pair,
}

impl Restricted {
    /// Nothing runs yet. `denied`: fragments of the permissions that A lacks.
    pub(super) async fn create(denied: &[&str]) -> Self {
        Self::configured(denied, |config| config).await
    }

    pub(super) async fn configured(denied: &[&str], change: impl Fn(Config) -> Config) -> Self {
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
    pub(super) async fn start(denied: &[&str]) -> Self {
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
    pub(super) async fn deny(&mut self, fragments: &[&str]) {
        let (a, b) = (&self.pair.a.config, &self.pair.b.config);
        let config = users(&[admin(), user(a, PASSWORD, fragments), user(b, PASSWORD, &[])]);
        self.nats.reload(config).await.expect("the users change");
    }

    pub(super) async fn grant_everything(&mut self) {
        self.deny(&[]).await;
    }

    /// How often the server denied anything.
    pub(super) fn violations(&self) -> usize {
        self.nats.log().matches("Violation").count()
    }

    /// Waits until one side's status names `problem`, and says so by then.
    pub(super) async fn a_has_problem(&self, problem: &str) -> String {
        has_problem(&self.pair.a, problem).await
    }

    pub(super) async fn nothing_is_wrong(&self) {
        eventually("nothing is wrong", || async {
            let problems = [self.pair.a.status().await.problems, self.pair.b.status().await.problems].concat();
            if problems.is_empty() { Ok(Some(())) } else { Err(problems) }
        })
        .await;
    }

    /// Both directions work.
    pub(super) async fn syncs(&self, occasion: &str) {
        for (from, to) in [(&self.pair.a, &self.pair.b), (&self.pair.b, &self.pair.a)] {
            let row = organization::saved(&from.db, &format!("{occasion}.{}.example", from.config.app_name)).await;
            to.has(&row).await;
        }
    }

    /// Has B's consumer deliver a message to somebody who forgets it.
    pub(super) async fn delivered_to_nobody(&self) {
        let b = &self.pair.b.config;
        let stream = self.admin.get_stream(&b.stream_name).await.expect("the stream");
        let durable: jetstream::consumer::PullConsumer =
            stream.get_consumer(&format!("{}-workers", b.app_name)).await.expect("the durable");
        let mut messages = durable.batch().max_messages(1).messages().await.expect("a request");
        messages.next().await.expect("a message").expect("a delivery");
    }

    pub(super) fn swap(&mut self) {
        std::mem::swap(&mut self.pair.a, &mut self.pair.b);
    }
}

pub(super) fn admin() -> String {
    format!("{{ user: admin, password: {PASSWORD} }}")
}

pub(super) fn users(users: &[String]) -> String {
    format!("authorization {{ users = [ {} ] }}", users.join(", "))
}

/// The user of an app, without the permissions that contain one of the fragments.
pub(super) fn user(config: &Config, password: &str, denied: &[&str]) -> String {
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
