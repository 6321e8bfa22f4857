//! Promise 9, what is denied: everything else, to each user, by a server that is configured by exactly what
//! `jsb permissions` prints. Whoever tries has the user's password and knows the protocol.

use std::collections::BTreeSet;

use jsb_tests::least_privilege::{Auth, FOREIGN_DURABLE, FOREIGN_STREAM, LeastPrivilege};
use jsb_tests::probe::{self, Orders};
use jsb_tests::raw::{Raw, RawMessage};
use serde_json::{Value as Json, json};

use crate::jetstream_api::calls;

const CLI: &str = env!("CARGO_BIN_EXE_cli");

/// The names that stand in subjects.
struct Names {
    stream: String,
    a: String,
    b: String,
}

impl Names {
    fn of(least: &LeastPrivilege) -> Self {
        let config = &least.pair.a.config;
        Self { stream: config.stream_name.clone(), a: config.app_name.clone(), b: config.destination_app.clone() }
    }

    fn durable(app: &str) -> String {
        format!("{app}-workers")
    }

    /// All that the JetStream API could be asked about the pair's stream and another one, by every name that it has.
    fn calls(&self) -> BTreeSet<String> {
        let durables = [Self::durable(&self.a), Self::durable(&self.b)];
        let consumers = [durables[0].as_str(), &durables[1], FOREIGN_DURABLE, "new"];
        let other = format!("{}.sync.{}", self.b, self.a);
        ["$JS.API.", "jsb.api.", "$JS.hub.API."]
            .iter()
            .flat_map(|prefix| calls(prefix, &[&self.stream, FOREIGN_STREAM, "new"], &consumers, &other))
            .collect()
    }

    /// What no user has to do with, whatever it is.
    fn of_the_server(&self) -> Vec<String> {
        let (stream, durable) = (&self.stream, Self::durable(&self.b));
        [
            "$JS.FC.STREAM.DURABLE.x",
            "$JS.SNAPSHOT.ACK.STREAM.x",
            "$JS.SNAPSHOT.RESTORE.STREAM.x",
            "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.STREAM.DURABLE",
            "$JSC.ARU.x.y",
            "$JSC.CI.x.STREAM.DURABLE",
            "$JSC.SI.x.STREAM",
            "$NRG.V.x",
            "$SYS.REQ.SERVER.PING",
            "$SYS.REQ.USER.INFO",
            "$SYS.REQ.ACCOUNT.admin.INFO",
            "$SYS.REQ.CLAIMS.UPDATE",
            "$SYS.DEBUG.SUBSCRIBERS",
            "$KV.x.y",
            "$O.x.C.y",
            "$MQTT.msgs.x",
            "_R_.x",
            "_GR_.x.y",
        ]
        .map(|subject| subject.replace("STREAM", stream).replace("DURABLE", &durable))
        .into()
    }

    /// What an app might publish in another's name, or past the other one.
    fn of_others(&self) -> Vec<String> {
        let (a, b) = (&self.a, &self.b);
        [
            format!("{b}.sync.{a}"),
            format!("{b}.sync.dlq"),
            format!("{b}.sync.{b}"),
            format!("{a}.sync.{a}"),
            format!("{a}.sync.{b}.more"),
            format!("{a}.sync"),
            format!("{a}.sync.third"),
            format!("third.sync.{a}"),
            format!("{FOREIGN_STREAM}.x"),
            "new".to_owned(),
        ]
        .into_iter()
        .chain([a, b, "admin", "observer"].map(|user| format!("_INBOX.{user}.x")))
        .collect()
    }

    /// What somebody might listen to who is not `user`.
    fn overheard(&self, user: &str) -> Vec<String> {
        let (a, b, stream) = (&self.a, &self.b, &self.stream);
        let advisories = "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES";
        let mut subjects: Vec<String> = [
            ">",
            "*",
            "*.>",
            "*.*.*",
            "*.*.>",
            "_INBOX.>",
            "_INBOX.*",
            "_INBOX.*.>",
            "_INBOX.*.*",
            "$JS.>",
            "$JS.API.>",
            "$JS.ACK.>",
            "$JS.EVENT.>",
            "$SYS.>",
            "$JSC.>",
            "$KV.>",
            "_R_.>",
            "_GR_.>",
            "jsb.>",
            "jsb.api.>",
            "*.sync.*",
            "*.sync.dlq",
        ]
        .map(str::to_owned)
        .into();
        subjects.extend([
            format!("{a}.sync.{b}"),
            format!("{b}.sync.{a}"),
            format!("{a}.sync.dlq"),
            format!("{b}.sync.dlq"),
        ]);
        subjects.extend([format!("{a}.>"), format!("{b}.>"), format!("{FOREIGN_STREAM}.>")]);
        subjects.extend([format!("{advisories}.>"), format!("{advisories}.{stream}.*"), format!("{advisories}.*.*")]);
        subjects.extend([a, b, "admin", "observer"].map(|user| format!("_INBOX.{user}")));
        for other in [a, b, "admin", "observer"].into_iter().filter(|other| *other != user) {
            subjects.extend([format!("_INBOX.{other}.>"), format!("_INBOX.{other}.x"), format!("_INBOX.{other}.> q")]);
            subjects.push(format!("{advisories}.{stream}.{}", Self::durable(other)));
        }
        subjects
    }
}

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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_may_do_what_its_bridge_does_and_nothing_else() {
    let mut least = pair().await;
    let names = Names::of(&least);
    let (mut a, mut b) = (least.raw(&names.a).await, least.raw(&names.b).await);
    let answer = a.ask_json(&format!("{}.sync.{}", names.a, names.b), "{}").await;
    assert_eq!(answer["stream"], names.stream);
    let to_b = delivered(&mut b, &names, &names.b).await;
    let before = state(&least).await;

    let durable = Names::durable(&names.a);
    let allowed: BTreeSet<String> = ["$JS.API.", "jsb.api."]
        .iter()
        .flat_map(|api| {
            [
                format!("{api}CONSUMER.MSG.NEXT.{}.{durable}", names.stream),
                format!("{api}CONSUMER.INFO.{}.{durable}", names.stream),
                format!("{api}STREAM.MSG.GET.{}", names.stream),
            ]
        })
        .collect();
    let calls = names.calls();
    assert!(allowed.is_subset(&calls));
    let mut forbidden: BTreeSet<String> = calls.difference(&allowed).cloned().collect();
    forbidden.extend(names.of_the_server());
    forbidden.extend(names.of_others());
    forbidden.extend(acks(&to_b));
    forbidden.extend([FOREIGN_STREAM, "new"].map(|stream| format!("$JS.ACK.{stream}.{durable}.1.1.1.1.1")));
    // The name of the own consumer stands where the numbers of the other's acknowledgement do.
    let (stream, other) = (&names.stream, Names::durable(&names.b));
    forbidden.insert(format!("$JS.ACK.{stream}.{other}.{stream}.{durable}.1.1.1"));
    is_denied(&mut a, &forbidden, &names.overheard(&names.a)).await;
    assert_eq!(state(&least).await, before);

    for request in &allowed {
        a.publish_with_reply(request, &format!("_INBOX.{}.x", names.a), r#"{"no_wait":true}"#).await;
        a.message().await;
    }
    let mut admin = least.raw("admin").await;
    admin.ask_json(&format!("{}.sync.{}", names.b, names.a), "{}").await;
    let to_a = delivered(&mut a, &names, &names.a).await;
    let [ack, newer] = acks(&to_a);
    a.publish(&newer, "+WPI").await;
    assert_eq!(a.ask(&ack, "+ACK").await.body, "");
    assert_eq!(a.denials().await, Vec::<String>::new());
    assert_eq!(b.ask(&acks(&to_b)[0], "+ACK").await.body, "");
    syncs(&mut least).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_observer_may_look_and_change_nothing() {
    let mut least = pair().await;
    let names = Names::of(&least);
    let before = state(&least).await;
    let mut observer = least.raw("observer").await;
    let allowed: BTreeSet<String> = ["$JS.API.", "jsb.api."]
        .iter()
        .flat_map(|api| {
            let info =
                [&names.a, &names.b].map(|app| format!("{api}CONSUMER.INFO.{}.{}", names.stream, Names::durable(app)));
            let of_stream = ["INFO", "MSG.GET"].map(|call| format!("{api}STREAM.{call}.{}", names.stream));
            info.into_iter().chain(of_stream)
        })
        .collect();
    let calls = names.calls();
    assert!(allowed.is_subset(&calls));
    let mut forbidden: BTreeSet<String> = calls.difference(&allowed).cloned().collect();
    forbidden.extend(names.of_the_server());
    forbidden.extend(names.of_others());
    forbidden.insert(format!("{}.sync.{}", names.a, names.b));
    forbidden.insert(format!("$JS.ACK.{}.{}.1.1.1.1.1", names.stream, Names::durable(&names.a)));
    is_denied(&mut observer, &forbidden, &names.overheard("observer")).await;
    for request in &allowed {
        let request_body = if request.contains("MSG.GET") { r#"{"seq":1}"# } else { "" };
        let answer = observer.ask_json(request, request_body).await;
        assert!(answer.get("error").is_none(), "{request}: {answer}");
    }
    assert_eq!(observer.denials().await, Vec::<String>::new());
    assert_eq!(state(&least).await, before);
    syncs(&mut least).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_admin_deletes_no_stream_and_no_consumer() {
    let mut least = pair().await;
    let names = Names::of(&least);
    let before = state(&least).await;
    let mut admin = least.raw("admin").await;
    let of_stream = ["INFO", "CREATE", "UPDATE", "MSG.GET", "MSG.DELETE"];
    let mut allowed: BTreeSet<String> = of_stream.map(|call| format!("$JS.API.STREAM.{call}.{}", names.stream)).into();
    allowed.insert("$JS.API.STREAM.NAMES".to_owned());
    for app in [&names.a, &names.b] {
        let of_consumer = ["INFO", "DURABLE.CREATE"];
        allowed.extend(
            of_consumer.map(|call| format!("$JS.API.CONSUMER.{call}.{}.{}", names.stream, Names::durable(app))),
        );
    }
    let calls = names.calls();
    assert!(allowed.is_subset(&calls));
    let mut forbidden: BTreeSet<String> = calls.difference(&allowed).cloned().collect();
    forbidden.extend(names.of_the_server());
    forbidden.insert(format!("{FOREIGN_STREAM}.x"));
    forbidden.insert(format!("$JS.ACK.{}.{}.1.1.1.1.1", names.stream, Names::durable(&names.a)));
    is_denied(&mut admin, &forbidden, &names.overheard("admin")).await;
    assert_eq!(state(&least).await, before);
    syncs(&mut least).await;
}

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
