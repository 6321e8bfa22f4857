//! What the server answers, and where.

use jsb_tests::least_privilege::FOREIGN_STREAM;
use serde_json::json;

use super::names::Names;
use super::{delivered, pair, state, syncs};

/// The server answers wherever a request says, and with rights of its own: an answer that went to `$JS.API.STREAM.DELETE`
/// would delete the stream.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_of_the_server_does_nothing_that_its_user_may_not_do() {
    let mut least = pair().await;
    let names = Names::of(&least);
    let (stream, durable, foreign) = (&names.stream, Names::durable(&names.a), Names::durable(&names.b));
    let mut targets: Vec<String> = ["", "hub."]
        .iter()
        .flat_map(|domain| {
            [
                format!("$JS.{domain}API.STREAM.DELETE.{FOREIGN_STREAM}"),
                format!("$JS.{domain}API.CONSUMER.DELETE.{stream}.{foreign}"),
                format!("$JS.{domain}API.STREAM.PURGE.{stream}"),
                format!("$JS.{domain}API.STREAM.DELETE.{stream}"),
            ]
        })
        .collect();
    targets.extend([format!("{}.sync.dlq", names.b), format!("{}.sync.{}", names.b, names.a)]);
    targets.extend([format!("_INBOX.{}.x", names.b), "_INBOX.admin.x".to_owned()]);

    let (mut a, mut admin, mut b) = (least.raw(&names.a).await, least.raw("admin").await, least.raw(&names.b).await);
    let mut sent = 0;
    for target in &targets {
        admin.ask_json(&format!("{}.sync.{}", names.b, names.a), "{}").await;
        let ack = delivered(&mut a, &names, &names.a).await.reply.expect("what acknowledges it");
        a.publish_with_reply(&ack, target, "+ACK").await;
        a.publish_with_reply(&format!("$JS.API.CONSUMER.INFO.{stream}.{durable}"), target, "").await;
        a.publish_with_reply(&format!("$JS.API.STREAM.MSG.GET.{stream}"), target, r#"{"seq":1}"#).await;
        a.publish_with_reply(&format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.{durable}"), target, r#"{"no_wait":true}"#)
            .await;
        a.publish_with_reply(&format!("{}.sync.{}", names.a, names.b), target, "{}").await;
        a.publish_with_reply(&format!("{}.sync.dlq", names.a), target, "{}").await;
        sent += 3;
        // Answered in order: what was asked before has had its answer when this has.
        a.ask(&ack, "+ACK").await;
        a.ask_json(&format!("{}.sync.dlq", names.a), "{}").await;
        sent += 1;
        a.ask_json(&format!("$JS.API.CONSUMER.INFO.{stream}.{durable}"), "").await;
    }
    assert_eq!(a.denials().await, Vec::<String>::new());
    assert_eq!([b.denials().await, admin.denials().await], [Vec::<String>::new(), Vec::new()]);
    let state = state(&least).await;
    assert_eq!(state[0]["state"]["messages"], state[0]["state"]["last_seq"], "nothing was purged");
    assert_eq!(state[0]["state"]["messages"], sent + 2, "nothing else was stored");
    let foreign = admin.ask_json("$JS.API.STREAM.NAMES", "").await;
    assert!(foreign["streams"].as_array().expect("names").contains(&json!(FOREIGN_STREAM)), "{foreign}");
    syncs(&mut least).await;
}
