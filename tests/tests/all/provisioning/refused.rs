//! What would take a deletion, or another stream, is refused.

use std::time::Duration;

use jsb_runtime::ProvisionError;
use jsb_tests::eventually;
use serde_json::json;

use super::{Operator, merge};

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
