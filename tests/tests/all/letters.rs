//! Letters that had no room for the body, and only say where it is; and letters that are on their way for long.

use jsb_runtime::operate;
use jsb_tests::probe::{self, Orders};
use jsb_tests::{Cli, Pair, Proxy, until};

const PROGRAM: &str = env!("CARGO_BIN_EXE_cli");

on_both! {
    /// As after a stream was made anew, and its letters were put back: where the body was, another event is.
    async fn a_letter_is_not_replayed_by_another_event_s_body(backend: Backend) {
        let mut pair = Pair::create(backend).await;
        pair.b.start().await;
        let (cli, stream) = (Cli::of(PROGRAM, &pair.b), pair.b.stream().await);
        let (a, b) = (&pair.a.config.app_name, &pair.b.config.app_name);
        let (incoming, dlq) = (format!("{a}.sync.{b}"), format!("{b}.sync.dlq"));
        let event = |id: &str, kind: &str, ballast: usize| {
            let payload = Orders { ballast: "x".repeat(ballast), ..Orders::default() };
            probe::event(kind, id, payload).to_string()
        };
        stream.publish(&incoming, &[], event("lost", "refuse", 1024 * 1024 - 400)).await;
        pair.b.event_is("lost", "dead").await;
        let letter = stream.dead_letter(b, "lost").await.expect("a letter");
        assert_eq!(letter.headers["x-dlq-reference"], "true");
        let other = stream.publish(&incoming, &[], event("other", "record", 1)).await;
        pair.b.event_is("other", "processed").await;

        pair.b.sql("DELETE FROM inbox_events WHERE event_id = 'lost'").await;
        let mut context = letter.context();
        context["sequence"] = other.into();
        let context = context.to_string();
        let mut headers: Vec<(&str, &str)> =
            letter.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        headers.retain(|(name, _)| !["x-dlq-context", "Nats-Msg-Id"].contains(name));
        headers.push(("x-dlq-context", context.as_str()));
        stream.delete(letter.sequence).await;
        stream.publish(&dlq, &headers, letter.body.clone()).await;

        let replayed = cli.run(&["dlq", "replay", "lost", "--json"]).await;
        assert_eq!(replayed.code, 1, "{replayed:?}");
        let why = replayed.json()["failed"][0]["why"].to_string();
        assert!(why.contains("neither in the inbox nor in the stream"), "{why}");
        assert_eq!((stream.messages(&incoming).await.len(), stream.messages(&dlq).await.len()), (2, 1));
        pair.stop().await;
    }

    async fn a_retry_is_not_undone_by_a_letter_that_was_on_its_way(backend: Backend) {
        let proxy = Proxy::before_nats().await;
        let mut pair = Pair::configured(backend, |config| config.max_deliver(1)).await;
        pair.b.config.nats_url = proxy.url();
        pair.start_both().await;
        let worn = probe::send(&pair.a.db, "fail", Orders { failures: 1, ..Orders::default() }).await;
        pair.b.event_is(&worn.event_id, "dead").await;
        // As if its letter had not been taken; and the next one's acknowledgement is held up.
        proxy.hold();
        let waits = "status = 'parked', starts = 0, attempts = 1, available_at = '2000-01-01T00:00:00+00:00'";
        pair.b.sql(&format!("UPDATE inbox_events SET {waits}")).await;
        until("it is about to be buried", async || pair.b.texts("SELECT CAST(starts AS text) FROM inbox_events").await == ["1"])
        .await;
        let event_ids = [worn.event_id.clone()];
        let retried = operate::inbox::retry(&pair.b.db, &pair.a.config.app_name, &event_ids).await;
        assert_eq!(retried.expect("a retry").changed, 1);
        proxy.let_go();
        pair.b.has_settled(1).await;
        assert_eq!(probe::attempts(&worn).len(), 2);
        pair.stop().await;
    }
}
