//! Promise 9, what is denied: everything else, to each user, by a server that is configured by exactly what
//! `jsb permissions` prints. Whoever tries has the user's password and knows the protocol.

mod answers;
mod names;
mod users;

use std::collections::BTreeSet;

use jsb_tests::least_privilege::{Auth, LeastPrivilege};
use jsb_tests::probe::{self, Orders};
use jsb_tests::raw::{Raw, RawMessage};
use serde_json::{Value as Json, json};

use names::Names;

const CLI: &str = env!("CARGO_BIN_EXE_cli");

/// A message that was delivered to `app` and waits for its acknowledgement. What the server first gives to a bridge that
/// has just stopped comes again.
async fn delivered(app: &mut Raw, names: &Names, name: &str) -> RawMessage {
    let next = format!("$JS.API.CONSUMER.MSG.NEXT.{}.{}", names.stream, Names::durable(name));
    let request = json!({"batch": 1, "expires": 1_000_000_000}).to_string();
    for _ in 0..60 {
        let message = app.ask(&next, &request).await;
        if message.reply.is_some() {
            return message;
        }
        assert!(message.headers.contains("408"), "{message:?}");
    }
    panic!("nothing was delivered to {name}")
}

/// The acknowledgement of a message in both of its forms.
fn acks(message: &RawMessage) -> [String; 2] {
    let ack = message.reply.clone().expect("what acknowledges it");
    let newer = ack.replacen("$JS.ACK.", "$JS.ACK._.HASH.", 1);
    [ack, newer]
}

/// Tries to publish and to subscribe, and sees each denied, by its name.
async fn is_denied(user: &mut Raw, publish: &BTreeSet<String>, subscribe: &[String]) {
    for subject in publish {
        user.publish(subject, "").await;
    }
    for subject in subscribe {
        user.subscribe(subject).await;
    }
    let denied: BTreeSet<String> = user.denials().await.into_iter().collect();
    let subscribe =
        subscribe.iter().map(|subject| format!("subscribe {}", subject.split(' ').next().unwrap_or_default()));
    let tried: BTreeSet<String> = publish.iter().map(|subject| format!("publish {subject}")).chain(subscribe).collect();
    let allowed: Vec<_> = tried.difference(&denied).collect();
    assert!(allowed.is_empty(), "not denied: {allowed:#?}");
    assert_eq!(denied, tried);
}

/// All that can be seen of the stream and its consumers, but for what passes by itself.
async fn state(least: &LeastPrivilege) -> Vec<Json> {
    let (mut observer, names) = (least.raw("observer").await, Names::of(least));
    let mut state = vec![observer.ask_json(&format!("$JS.API.STREAM.INFO.{}", names.stream), "").await];
    for app in [&names.a, &names.b] {
        let subject = format!("$JS.API.CONSUMER.INFO.{}.{}", names.stream, Names::durable(app));
        state.push(observer.ask_json(&subject, "").await);
    }
    for part in &mut state {
        assert!(part.get("error").is_none(), "{part}");
        let part = part.as_object_mut().expect("an answer");
        for passing in ["ts", "num_waiting"] {
            part.remove(passing);
        }
    }
    state
}

async fn syncs(least: &mut LeastPrivilege) {
    least.pair.start_both().await;
    for (from, to) in [(&least.pair.a, &least.pair.b), (&least.pair.b, &least.pair.a)] {
        let event = probe::send(&from.db, "record", Orders::default()).await;
        to.event_is(&event.event_id, "processed").await;
    }
    least.pair.a.stop().await;
    least.pair.b.stop().await;
}

/// A pair that is provisioned and has synced, and whose bridges are stopped.
async fn pair() -> LeastPrivilege {
    let mut least = LeastPrivilege::create(CLI, Auth::Password, &[]).await;
    least.provision().await;
    syncs(&mut least).await;
    assert_eq!(least.violations(), Vec::<String>::new());
    least
}
