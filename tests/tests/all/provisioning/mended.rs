//! What drifted is mended in place, and nothing else changes.

use serde_json::{Value as Json, json};

use super::{DAY, MONTH, Operator, SECOND};

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
