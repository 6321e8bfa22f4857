//! A stream that carries more than one pair.

use std::time::Duration;

use jsb_runtime::topology::Wanted;
use serde_json::json;

use super::{MONTH, Operator, SECOND};

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
