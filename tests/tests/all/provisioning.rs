//! An operator provisions: what is missing is made, what drifted is mended in place, and what would take a deletion is
//! refused. On the real server, whose word it is what can be changed.

mod made;
mod mended;
mod refused;
mod shared;

use std::time::Duration;

use async_nats::jetstream::response::Response;
use jsb_runtime::operate::{Connection, Provisioner};
use jsb_runtime::topology::{Plan, Wanted};
use jsb_runtime::{Config, ProvisionError};
use jsb_tests::{Stream, servers};
use serde_json::{Value as Json, json};
use uuid::Uuid;

const SECOND: u64 = 1_000_000_000;
const DAY: u64 = 86_400 * SECOND;
const MONTH: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// A pair of apps with names of their own, and an operator who provisions it.
struct Operator {
    config: Config,
    connection: Connection,
    stream: Stream,
    wanted: Wanted,
    a: String,
    b: String,
}

impl Operator {
    async fn new() -> Self {
        Self::of_stream(&format!("s-{}", Uuid::new_v4().simple())).await
    }

    /// Of a new pair on this stream.
    async fn of_stream(stream: &str) -> Self {
        let id = Uuid::new_v4().simple();
        let (a, b) = (format!("a-{id}"), format!("b-{id}"));
        let url = servers::nats().await.url();
        let config = Config::new("operator", "nobody").nats_url(url).stream_name(stream);
        let wanted = Wanted::pairs(&config, [(&a, &b)]).expect("a pair");
        let connection = Connection::open(config.clone()).await.expect("a connection");
        Self { stream: Stream::of(&config).await, connection, config, wanted, a, b }
    }

    fn provisioner(&self) -> Provisioner<'_> {
        Provisioner::new(&self.connection, self.wanted.clone())
    }

    async fn plan(&self) -> Plan {
        self.provisioner().plan().await.expect("a plan")
    }

    /// Carries out a plan, and gives back what was said about it.
    async fn apply(&self, plan: &Plan) -> Result<Vec<String>, ProvisionError> {
        let mut said = Vec::new();
        self.provisioner().apply(plan, |change| said.push(change.to_string())).await?;
        assert!(self.plan().await.is_empty(), "a new plan after one that was carried out");
        Ok(said)
    }

    async fn provision(&self) -> Vec<String> {
        self.apply(&self.plan().await).await.expect("a provisioned pair")
    }

    async fn ask(&self, what: &str, request: Json) -> Json {
        match self.stream.context.request(what.to_owned(), &request).await.expect("an answer") {
            Response::Ok(answer) => answer,
            Response::Err { error } => panic!("{what}: {error}"),
        }
    }

    fn name(&self) -> &str {
        &self.config.stream_name
    }

    async fn make_stream(&self, changes: Json) {
        let mut settings = json!({"name": self.name(), "subjects": self.wanted.stream.subjects, "storage": "file"});
        merge(&mut settings, changes);
        self.ask(&format!("STREAM.CREATE.{}", self.name()), settings).await;
    }

    async fn change_stream(&self, changes: Json) {
        let mut settings = self.stream_settings().await;
        merge(&mut settings, changes);
        self.ask(&format!("STREAM.UPDATE.{}", self.name()), settings).await;
    }

    async fn stream_settings(&self) -> Json {
        self.ask(&format!("STREAM.INFO.{}", self.name()), json!({})).await["config"].take()
    }

    fn durable(&self) -> String {
        format!("{}-workers", self.a)
    }

    async fn change_consumer(&self, changes: Json) {
        let mut settings = self.consumer_settings().await;
        merge(&mut settings, changes);
        self.put_consumer(settings).await;
    }

    async fn put_consumer(&self, settings: Json) {
        let what = format!("CONSUMER.DURABLE.CREATE.{}.{}", self.name(), self.durable());
        self.ask(&what, json!({"stream_name": self.name(), "config": settings})).await;
    }

    async fn consumer_settings(&self) -> Json {
        self.ask(&format!("CONSUMER.INFO.{}.{}", self.name(), self.durable()), json!({})).await["config"].take()
    }

    /// Expects that nothing can be done, and that nothing is; gives back what is said about it.
    async fn is_refused(&self) -> String {
        let plan = self.plan().await;
        assert!(!plan.refusals().is_empty(), "{plan}");
        match self.apply(&plan).await {
            Err(ProvisionError::Unattainable(refusals)) => assert_eq!(refusals, plan.refusals()),
            other => panic!("{other:?}"),
        }
        assert_eq!(self.plan().await, plan, "the server is as before");
        plan.to_string()
    }
}

/// Sets settings; null takes one out.
fn merge(settings: &mut Json, changes: Json) {
    let settings = settings.as_object_mut().expect("settings");
    for (setting, value) in changes.as_object().expect("changes") {
        match value {
            Json::Null => settings.remove(setting),
            value => settings.insert(setting.clone(), value.clone()),
        };
    }
}
