//! An operator provisions: what is missing is made, what drifted is mended in place, and what would take a deletion is
//! refused. On the real server, whose word it is what can be changed.

use std::time::Duration;

use async_nats::jetstream;
use async_nats::jetstream::response::Response;
use jsb_runtime::operate::{Connection, OperateError, Provisioner};
use jsb_runtime::topology::{Plan, Wanted};
use jsb_runtime::{Config, ProvisionError};
use jsb_tests::{Stream, eventually, servers};
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

#[tokio::test]
async fn what_is_missing_is_made_and_made_once() {
    let operator = Operator::new().await;
    let plan = operator.plan().await;
    let said = operator.apply(&plan).await.expect("a provisioned pair");
    let made = [
        format!("+ stream {}", operator.name()),
        format!("+ consumer {} of stream {}", operator.durable(), operator.name()),
        format!("+ consumer {}-workers of stream {}", operator.b, operator.name()),
    ];
    assert!(said.iter().zip(&made).all(|(said, made)| said.starts_with(made)) && said.len() == 3, "{said:?}");

    let stream = operator.stream.config().await;
    assert_eq!(stream.subjects.len(), 4);
    assert_eq!((stream.storage, stream.retention), Default::default());
    assert_eq!(stream.max_age, MONTH);
    assert_eq!(stream.duplicate_window, Duration::from_secs(120));
    let consumer = operator.stream.progress(&operator.a).await.config;
    assert_eq!(consumer.filter_subject, format!("{}.sync.{}", operator.b, operator.a));
    assert_eq!((consumer.max_deliver, consumer.ack_wait.as_secs()), (5, 1));
    assert_eq!(consumer.backoff, [1, 5, 15, 30, 60].map(Duration::from_secs));

    assert_eq!(operator.provision().await, Vec::<String>::new());
    operator.apply(&plan).await.expect("the first plan can be carried out once more");
}

#[tokio::test]
async fn what_drifted_is_mended_and_messages_and_positions_stay() {
    let mut operator = Operator::new().await;
    operator.wanted.stream.max_age = Some(MONTH);
    operator.provision().await;
    let inbound = format!("{}.sync.{}", operator.b, operator.a);
    for _ in 0..3 {
        operator.stream.publish(&inbound, &[], "{}").await;
    }
    let first = operator.stream.durable(&operator.a).await.fetch().max_messages(1).messages().await;
    let first = futures_util::StreamExt::next(&mut first.expect("messages")).await.expect("one").expect("a message");
    first.double_ack().await.expect("an acknowledgement");
    let as_wanted = (operator.stream_settings().await, operator.consumer_settings().await);

    let stream_drifts = [
        (json!({"subjects": [inbound]}), "+ subjects: "),
        (json!({"max_age": DAY}), "~ max_age: 1d -> 30d"),
        (json!({"max_age": 0}), "~ max_age: none -> 30d"),
        (json!({"duplicate_window": 30 * SECOND}), "~ duplicate_window: 30s -> 2m"),
        (json!({"no_ack": true}), "~ no_ack: true -> false"),
    ];
    for (drift, said) in stream_drifts {
        operator.change_stream(drift.clone()).await;
        let changes = operator.provision().await;
        assert!(changes.len() == 1 && changes[0].contains(said), "{drift}: {changes:?}");
    }
    let consumer_drifts = [
        (json!({"max_deliver": 9}), "~ max_deliver: 9 -> 5"),
        (json!({"max_deliver": -1}), "~ max_deliver: -1 -> 5"),
        (json!({"backoff": null, "ack_wait": 30 * SECOND}), "~ ack_wait: 30s -> 1s\n    ~ backoff: none -> 1s, 5s"),
        (json!({"backoff": [SECOND, 90 * SECOND]}), "~ backoff: 1s, 90s -> 1s, 5s, 15s, 30s, 1m"),
        (json!({"filter_subject": format!("{}.sync.*", operator.b)}), "~ filter_subject: "),
        (json!({"filter_subject": null, "filter_subjects": [inbound, "other"]}), "~ filter_subject: "),
        (json!({"max_ack_pending": 7}), "~ max_ack_pending: 7 -> 20000"),
        (json!({"headers_only": true}), "~ headers_only: true -> false"),
        (json!({"inactive_threshold": 3_600 * SECOND}), "~ inactive_threshold: 1h -> none"),
    ];
    for (drift, said) in consumer_drifts {
        operator.change_consumer(drift.clone()).await;
        let changes = operator.provision().await;
        assert!(changes.len() == 1 && changes[0].contains(said), "{drift}: {changes:?}");
    }
    let (mut stream, consumer) = (operator.stream_settings().await, operator.consumer_settings().await);
    // In whatever order: they were taken out and added again.
    let subjects = |stream: &mut Json| {
        let mut subjects: Vec<Json> = stream["subjects"].take().as_array().cloned().unwrap_or_default();
        subjects.sort_by_key(Json::to_string);
        subjects
    };
    let (mut stream_wanted, consumer_wanted) = as_wanted;
    assert_eq!(subjects(&mut stream), subjects(&mut stream_wanted));
    assert_eq!((stream, consumer), (stream_wanted, consumer_wanted));
    let progress = operator.stream.progress(&operator.a).await;
    assert_eq!((progress.ack_floor.stream_sequence, progress.num_pending), (1, 2));
    assert_eq!(operator.stream.messages(&inbound).await.len(), 3);
}

#[tokio::test]
async fn interest_retention_becomes_limits() {
    let operator = Operator::new().await;
    operator.make_stream(json!({"retention": "interest"})).await;
    assert!(operator.provision().await[0].contains("~ retention: interest -> limits"));
}

#[tokio::test]
async fn settings_that_nobody_asked_about_stay() {
    let operator = Operator::new().await;
    let made = json!({"max_bytes": 1_000_000, "description": "ours", "max_age": 365 * DAY, "duplicate_window": DAY});
    operator.make_stream(made).await;
    operator
        .put_consumer(json!({"durable_name": operator.durable(), "ack_policy": "explicit", "max_waiting": 7}))
        .await;
    operator.provision().await;
    let (stream, consumer) = (operator.stream_settings().await, operator.consumer_settings().await);
    assert_eq!((&stream["max_bytes"], &stream["description"]), (&json!(1_000_000), &json!("ours")));
    assert_eq!((&stream["max_age"], &stream["duplicate_window"]), (&json!(365 * DAY), &json!(DAY)));
    assert_eq!((&consumer["max_waiting"], &consumer["max_deliver"]), (&json!(7), &json!(5)));
}

#[tokio::test]
async fn subjects_of_a_stream_of_another_name_are_refused_and_it_is_named() {
    for wildcard in [false, true] {
        let operator = Operator::new().await;
        let theirs = format!("theirs-{}", operator.name());
        let subject = format!("{}.sync.{}", operator.a, if wildcard { ">" } else { "dlq" });
        let made = json!({"name": theirs, "subjects": [subject]});
        operator.ask(&format!("STREAM.CREATE.{theirs}"), made).await;
        let said = operator.is_refused().await;
        let carried = format!("! stream {theirs}: it carries {}.sync.", operator.a);
        assert!(said.starts_with(&carried) && said.contains(&format!("STREAM_NAME={theirs}")), "{said}");
        assert!(operator.stream.context.get_stream(operator.name()).await.is_err(), "no stream was made");
    }
}

#[tokio::test]
async fn what_the_server_never_changes_about_a_stream_is_refused() {
    let made = [
        (json!({"storage": "memory"}), "its storage is memory, and cannot be changed to file"),
        (json!({"retention": "workqueue"}), "its retention is workqueue, and cannot be changed to limits"),
    ];
    for (settings, reason) in made {
        let operator = Operator::new().await;
        operator.make_stream(settings).await;
        let said = operator.is_refused().await;
        let steps = "delete the stream by hand";
        assert!(said.contains(&format!("! stream {}: {reason}\n", operator.name())) && said.contains(steps), "{said}");
    }
    let operator = Operator::new().await;
    operator.provision().await;
    operator.change_stream(json!({"sealed": true})).await;
    assert!(operator.is_refused().await.contains("it is sealed"));

    let (origin, mirror) = (operator, Operator::new().await);
    let made = json!({"name": mirror.name(), "mirror": {"name": origin.name()}});
    mirror.ask(&format!("STREAM.CREATE.{}", mirror.name()), made).await;
    assert!(mirror.is_refused().await.contains("it mirrors another stream"));
}

#[tokio::test]
async fn what_the_server_never_changes_about_a_consumer_is_refused() {
    let drifts = [
        (json!({"deliver_subject": "somewhere"}), "it pushes messages instead of being pulled from"),
        (json!({"ack_policy": "all"}), "its ack_policy is all, and cannot be changed to explicit"),
        (json!({"deliver_policy": "new"}), "its deliver_policy is new, and cannot be changed to all"),
        (json!({"replay_policy": "original"}), "its replay_policy is original, and cannot be changed to instant"),
        (json!({"mem_storage": true}), "its mem_storage is true, and cannot be changed to false"),
    ];
    for (drift, reason) in drifts {
        let operator = Operator::new().await;
        operator.make_stream(json!({})).await;
        let mut settings = json!({"durable_name": operator.durable(), "ack_policy": "explicit"});
        merge(&mut settings, drift);
        operator.put_consumer(settings).await;
        let said = operator.is_refused().await;
        let about = format!("! consumer {} of stream {}: {reason}", operator.durable(), operator.name());
        assert!(said.contains(&about), "{said}");
        assert!(said.contains(&format!("nats consumer rm {} {}", operator.name(), operator.durable())), "{said}");
    }
}

#[tokio::test]
async fn a_max_age_that_would_delete_messages_is_refused_until_they_are_gone() {
    let mut operator = Operator::new().await;
    operator.provision().await;
    let age = Duration::from_secs(2);
    operator.wanted.stream.max_age = Some(age);
    let early = operator.plan().await;
    assert!(early.refusals().is_empty() && early.to_string().contains("~ max_age: 30d -> 2s"), "{early}");

    operator.stream.publish(&format!("{}.sync.dlq", operator.a), &[], "{}").await;
    let refused = eventually("the message is too old", || async {
        let plan = operator.plan().await;
        Ok::<_, ()>((!plan.refusals().is_empty()).then_some(plan))
    });
    let said = refused.await.to_string();
    assert!(said.contains("max_age: 30d -> 2s would delete messages"), "{said}");
    assert!(said.contains("set STREAM_MAX_AGE to more than their age"), "{said}");
    // The plan is older than the message.
    let late = operator.apply(&early).await.expect_err("a change that deletes");
    assert!(matches!(late, ProvisionError::Unattainable(_)), "{late}");
    assert_eq!(operator.stream.messages(&format!("{}.sync.dlq", operator.a)).await.len(), 1);

    operator.stream.purge().await;
    operator.provision().await;
    assert_eq!(operator.stream.config().await.max_age, age);
}

#[tokio::test]
async fn a_shared_stream_keeps_its_settings() {
    let mut operator = Operator::new().await;
    let orders = format!("orders-{}", operator.name());
    let theirs = json!({
        "subjects": [orders, format!("{}.sync.*", operator.a)], "storage": "memory", "max_age": 3_600 * SECOND,
        "retention": "interest",
    });
    operator.make_stream(theirs).await;
    let before = operator.stream_settings().await;
    let said = operator.provision().await;
    let added = format!("    + subjects: {b}.sync.{a}, {b}.sync.dlq", a = operator.a, b = operator.b);
    assert!(said[0].ends_with(&added) && said.len() == 3, "{said:?}");
    let mut after = operator.stream_settings().await;
    assert_eq!(after["subjects"].as_array().map(Vec::len), Some(4));
    after["subjects"] = before["subjects"].clone();
    assert_eq!(after, before);

    // What somebody has set is not passed over in silence.
    operator.wanted.stream.max_age = Some(MONTH);
    let plan = operator.plan().await;
    assert!(plan.changes().is_empty() && plan.refusals().len() == 1, "{plan}");
    let refused = format!(
        "it carries {orders}, {}.sync.* too, so that it is not for these pairs alone to say max_age: 1h -> 30d",
        operator.a
    );
    assert!(plan.to_string().contains(&refused), "{plan}");
    operator.wanted.stream.max_age = Some(Duration::from_secs(3_600));
    assert!(operator.plan().await.is_empty());
}

#[tokio::test]
async fn a_shared_stream_that_drops_dead_letters_is_used_and_the_plan_says_so() {
    let operator = Operator::new().await;
    let (orders, letters) = (format!("orders-{}", operator.name()), format!("{}.sync.dlq", operator.a));
    operator.make_stream(json!({"subjects": [orders], "retention": "interest"})).await;
    let dropped = format!("? stream {}: it has interest retention: dead letters", operator.name());
    let plan = operator.plan().await;
    assert!(plan.problems().len() == 1 && plan.to_string().contains(&dropped), "{plan}");
    assert_eq!(operator.apply(&plan).await.expect("a provisioned pair").len(), 3);

    let plan = operator.plan().await;
    assert!(plan.is_empty() && plan.to_string().starts_with(&dropped), "{plan}");
    let shown = serde_json::to_value(&plan).expect("JSON");
    assert_eq!(shown["problems"].as_array().map(Vec::len), Some(1), "{shown}");
    operator.stream.publish(&letters, &[], "{}").await;
    assert_eq!(operator.stream.messages(&letters).await.len(), 0, "which is what it says");

    operator.change_stream(json!({"retention": "limits"})).await;
    assert_eq!(operator.plan().await.to_string(), "all is as wanted: nothing to do");
    operator.stream.publish(&letters, &[], "{}").await;
    assert_eq!(operator.stream.messages(&letters).await.len(), 1);
}

#[tokio::test]
async fn a_shared_stream_that_acknowledges_nothing_is_refused() {
    let operator = Operator::new().await;
    let orders = format!("orders-{}", operator.name());
    operator.make_stream(json!({"subjects": [orders, format!("{}.sync.*", operator.a)], "no_ack": true})).await;
    let plan = operator.plan().await;
    assert!(plan.refusals().len() == 1 && plan.to_string().contains("it acknowledges nothing (no_ack)"), "{plan}");
}

#[tokio::test]
async fn pairs_share_a_stream_and_one_can_be_added_later() {
    let mut first = Operator::new().await;
    let (c, d) = (format!("c-{}", first.a), format!("d-{}", first.a));
    let pairs = [(first.a.as_str(), first.b.as_str()), (&c, &d)];
    first.wanted = Wanted::pairs(&first.config, pairs).expect("two pairs");
    assert_eq!(first.provision().await.len(), 5);

    let later = Operator::of_stream(first.name()).await;
    assert_eq!(later.provision().await.len(), 3);
    assert!(first.plan().await.is_empty());
    assert_eq!(first.stream.config().await.subjects.len(), 12);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn provisioners_may_run_at_the_same_time() {
    for _ in 0..10 {
        let one = Operator::new().await;
        let (two, other) = (Operator::of_stream(one.name()).await, Operator::of_stream(one.name()).await);
        let two = Operator { wanted: one.wanted.clone(), ..two };
        let (plans, other_plan) = ([one.plan().await, two.plan().await], other.plan().await);
        let done = async |operator: &Operator, plan: &Plan| {
            operator.provisioner().apply(plan, |_| ()).await.expect("a provisioned pair");
        };
        tokio::join!(done(&one, &plans[0]), done(&two, &plans[1]), done(&other, &other_plan));
        assert!(one.plan().await.is_empty() && other.plan().await.is_empty());
    }
}

#[tokio::test]
async fn a_server_that_is_away_is_given_up() {
    let config = Config::new("operator", "nobody").nats_url("nats://operator:secret@127.0.0.1:1");
    let error = Connection::open(config).await.expect_err("no connection");
    assert!(matches!(error, OperateError::Away { .. }), "{error:?}");
    let said = error.to_string();
    assert!(said.contains("nats://***@127.0.0.1:1 did not answer within 10 seconds"), "{said}");
}

#[tokio::test]
async fn a_plan_is_there_for_programs_too() {
    let operator = Operator::new().await;
    operator.provision().await;
    operator.change_consumer(json!({"max_deliver": 9})).await;
    let expected = json!({
        "changes": [{
            "change": "update_consumer", "stream": operator.name(), "consumer": operator.durable(),
            "differences": [{"setting": "max_deliver", "found": 9, "wanted": 5}],
        }],
        "refusals": [],
        "problems": [],
    });
    assert_eq!(serde_json::to_value(operator.plan().await).expect("JSON"), expected);
}

#[tokio::test]
async fn what_the_server_refuses_is_an_error_with_its_words() {
    let mut operator = Operator::new().await;
    operator.wanted.stream.replicas = Some(3);
    let error = operator.apply(&operator.plan().await).await.expect_err("one server has no replicas");
    let refused = matches!(&error, ProvisionError::Refused { error, .. }
        if error.error_code() == jetstream::ErrorCode::STREAM_REPLICAS_NOT_SUPPORTED);
    assert!(refused && error.to_string().contains("replicas > 1 not supported"), "{error}");
}
