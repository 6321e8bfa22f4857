//! What each user may do, and nothing else.

use std::collections::BTreeSet;

use jsb_tests::least_privilege::FOREIGN_STREAM;

use super::names::Names;
use super::{acks, delivered, is_denied, pair, state, syncs};

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
