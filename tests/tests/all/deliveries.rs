//! Deliveries that are not the message's fault: spent by crashes, held by a slow handler, counted by a stream that is
//! no more.

mod asked;
mod held;
mod places;
mod spent;
mod without_inbox;

use std::time::Duration;

use futures_util::StreamExt;
use jsb_runtime::Config;
use jsb_tests::probe::Probe;
use jsb_tests::{App, Backend, Pair, Stream, effects, eventually, until};

/// In milliseconds; short, so that five deliveries take few seconds.
const BACKOFF: [u64; 5] = [500, 100, 100, 100, 100];

pub(crate) async fn pair(backend: Backend, use_inbox: bool) -> Pair {
    configured(backend, |config| config.use_inbox(use_inbox)).await
}

/// A pair whose B has run once, so that its durable is there, and it has looked for what was given up before: no process
/// pulls before it has.
async fn configured(backend: Backend, change: impl Fn(Config) -> Config) -> Pair {
    let config = |config: Config| change(config.backoff(BACKOFF.map(Duration::from_millis)));
    let mut pair = Pair::configured(backend, config).await;
    pair.start_both().await;
    until("B has looked", async || {
        let looked = pair.b.texts("SELECT app_name FROM sync_settings WHERE swept_seq IS NOT NULL").await;
        !looked.is_empty()
    })
    .await;
    pair.b.stop().await;
    pair
}

/// Takes every message that waits for `app`, as a process does that crashes each time, until the server gives them up.
pub(crate) async fn spend(stream: &Stream, app: &App) {
    let durable = stream.durable(&app.config.app_name).await;
    eventually("all deliveries are spent", || async {
        let messages = durable.batch().max_messages(100).expires(Duration::from_millis(200)).messages().await?;
        messages.for_each(|_| async {}).await;
        let progress = stream.progress(&app.config.app_name).await;
        Ok::<_, async_nats::error::Error<_>>((progress.num_pending == 0 && progress.num_ack_pending == 0).then_some(()))
    })
    .await;
}

pub(crate) async fn processed(app: &App, probe: &Probe) {
    app.event_is(&probe.event_id, "processed").await;
    assert_eq!(effects::count(&app.db, &probe.id).await, Ok(1));
}
