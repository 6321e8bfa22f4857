//! What is missing is made, and made once.

use std::time::Duration;

use async_nats::jetstream;
use jsb_runtime::operate::{Connection, OperateError};
use jsb_runtime::topology::Plan;
use jsb_runtime::{Config, ProvisionError};
use serde_json::json;

use super::{MONTH, Operator};

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
