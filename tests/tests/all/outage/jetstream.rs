//! JetStream or its stream is away while NATS is there.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use jsb_runtime::Role;
use jsb_tests::{Backend, Pair, Proxy, until};

use super::{AT_ONCE, LOST, note_and_lose, save};

/// JetStream is away while NATS is there, as in a cluster that has lost its leader.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_jetstream_that_was_silent_for_long_is_published_to_at_once() {
    let proxy = Proxy::before_nats().await;
    let mut pair = Pair::create(Backend::Sqlite).await;
    pair.a.config.nats_url = proxy.url();
    pair.start_both().await;
    proxy.lose(note_and_lose);
    let row = save(&pair.a.db, "silence.example").await.expect("a save");
    let subject = format!("{}.sync.{}", pair.a.config.app_name, pair.b.config.app_name);
    until("it was published four times in vain", async || {
        let times = LOST.lock().expect("no test panics here").iter().filter(|lost| **lost == subject).count();
        times >= 4
    })
    .await;
    proxy.lose(|_| false);
    let back = Instant::now();
    pair.b.has(&row).await;
    assert!(back.elapsed() < AT_ONCE, "it resumed after {:?}", back.elapsed());
    pair.quiet().await;
    pair.stop().await;
}

/// The connection stays, and no consumer of this process misses the stream.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_vanishes_under_a_relay_alone_is_made_again() {
    let mut app = Pair::configured(Backend::Sqlite, |config| config.roles([Role::Relay])).await.a;
    app.start().await;
    save(&app.db, "before.example").await.expect("a save");
    app.has_sent(1).await;
    let stream = app.stream().await;
    stream.context.delete_stream(&app.config.stream_name).await.expect("a stream that is gone");
    save(&app.db, "after.example").await.expect("a save");
    app.has_sent(2).await;
    let subject = format!("{}.sync.{}", app.config.app_name, app.config.destination_app);
    assert_eq!(stream.messages(&subject).await.len(), 1);
    app.stop().await;
}

/// To whom nobody listens, the server says that at once. Here somebody does, and no answer comes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_vanishes_while_somebody_listens_is_made_again() {
    let mut app = Pair::configured(Backend::Sqlite, |config| config.roles([Role::Relay])).await.a;
    app.start().await;
    let stream = app.stream().await;
    let subject = format!("{}.sync.{}", app.config.app_name, app.config.destination_app);
    let client = stream.context.client();
    let _listening = client.subscribe(subject.clone()).await.expect("a subscription");
    client.flush().await.expect("a subscription that the server has");
    stream.context.delete_stream(&app.config.stream_name).await.expect("a stream that is gone");
    save(&app.db, "acme.example").await.expect("a save");
    app.has_sent(1).await;
    assert_eq!(stream.messages(&subject).await.len(), 1);
    app.stop().await;
}

/// How often an event was published.
static TRIES: AtomicUsize = AtomicUsize::new(0);

fn count_and_pass_on(subject: &str) -> bool {
    if subject.contains(".sync.") {
        TRIES.fetch_add(1, Ordering::SeqCst);
    }
    false
}

/// Somebody else puts it back, of which this app hears nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subject_that_no_stream_carried_for_long_is_published_to_at_once() {
    let proxy = Proxy::before_nats().await;
    let mut app = Pair::configured(Backend::Sqlite, |config| config.roles([Role::Relay])).await.a;
    let stream = app.stream().await;
    app.start().await;
    app.stop().await;
    let subject = format!("{}.sync.{}", app.config.app_name, app.config.destination_app);
    let with = stream.config().await;
    let mut without = with.clone();
    without.subjects.retain(|carried| *carried != subject);
    stream.context.update_stream(without).await.expect("a stream without the subject");

    app.config = app.config.clone().auto_provision(false).nats_url(proxy.url());
    proxy.lose(count_and_pass_on);
    app.start().await;
    save(&app.db, "acme.example").await.expect("a save");
    until("it was published five times in vain", async || TRIES.load(Ordering::SeqCst) >= 5).await;
    let health = app.health().await;
    assert!(health.jetstream_connected && health.problems.concat().contains("no stream carries"), "{health:?}");
    stream.context.update_stream(with).await.expect("a stream with the subject");
    let back = Instant::now();
    app.has_sent(1).await;
    assert!(back.elapsed() < AT_ONCE, "it resumed after {:?}", back.elapsed());
    app.stop().await;
}
