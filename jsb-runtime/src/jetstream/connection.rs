//! The connection: made once, kept for ever, with a state that everybody can watch.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::{self, consumer::PullConsumer};
use async_nats::{ConnectOptions, Event, ServerAddr};
use tokio::sync::watch;

use crate::config::Config;

/// How long the client waits before it connects again: short, since an outage ends at some moment, not after a while.
const LONGEST_RECONNECT_DELAY: Duration = Duration::from_secs(2);
/// How long the server may take to answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// Why there is no connection to NATS. A server that is merely away is no error: the client goes on trying.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// An address that cannot be read. It is not shown, since it may hold a password.
    #[error("NATS_URL: entry {position} of its comma list is no server address: {source}")]
    Url {
        /// Which one, from 1.
        position: usize,
        /// Why.
        source: std::io::Error,
    },
    /// A credentials file that cannot be read.
    #[error("NATS_CREDS: `{path}`: {source}")]
    Credentials {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The client refused its options.
    #[error("NATS: {0}")]
    Client(#[from] async_nats::ConnectError),
}

/// The connection and what was found behind it.
#[derive(Clone)]
pub(crate) struct Transport {
    pub(super) context: jetstream::Context,
    pub(super) config: Arc<Config>,
    link: watch::Receiver<Link>,
    attached: watch::Sender<Option<Attached>>,
}

/// The state of the connection. It is counted, since one that was lost and is back again has lost its pull requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Link {
    up: bool,
    number: u64,
}

/// The stream and the consumer of this app, once they are known to be there.
#[derive(Clone)]
pub(crate) struct Attached {
    pub(super) consumer: PullConsumer,
    pub(crate) stream: String,
    /// How often the server really delivers a message.
    pub(crate) max_deliver: u32,
    /// How long the server really waits for an acknowledgement: with a back-off list, its first entry.
    pub(crate) ack_wait: Duration,
}

impl Transport {
    /// Connects, or goes on trying in the background while no server is there.
    pub(crate) async fn connect(config: Arc<Config>) -> Result<Self, ConnectError> {
        let (sender, link) = watch::channel(Link::default());
        let mut options = ConnectOptions::new()
            .name(&config.app_name)
            .custom_inbox_prefix(config.inbox_prefix())
            .retry_on_initial_connect()
            .request_timeout(Some(REQUEST_TIMEOUT))
            .reconnect_delay_callback(|attempts| {
                crate::backoff::doubling(Duration::from_millis(50), LONGEST_RECONNECT_DELAY, attempts as u32)
            })
            .event_callback(move |event| {
                let link = sender.clone();
                async move { observe(&event, &link) }
            });
        if let Some(path) = &config.nats_creds {
            let read = std::fs::read_to_string(path).and_then(|text| options.credentials(&text));
            let path = path.display().to_string();
            options = read.map_err(|source| ConnectError::Credentials { path, source })?;
        }
        let client = options.connect(addresses(&config.nats_url)?).await?;
        let context = jetstream::context::ContextBuilder::new()
            .timeout(REQUEST_TIMEOUT)
            .max_ack_inflight(config.batch_size.max(1_000) * 2)
            .backpressure_on_inflight(true)
            .build(client);
        Ok(Self { context, config, link, attached: watch::Sender::new(None) })
    }

    /// Whether a server answers.
    pub(crate) fn is_connected(&self) -> bool {
        self.link.borrow().up
    }

    /// Whether the stream and the consumer are there, so that publishing and pulling make sense.
    pub(crate) fn is_ready(&self) -> bool {
        self.is_connected() && self.attached.borrow().is_some()
    }

    pub(crate) async fn until_connected(&self) {
        // The sender lives in the client's callback, as long as the client does.
        let _ = self.link.clone().wait_for(|link| link.up).await;
    }

    /// Waits until the connection that there is now is lost, even if another one is there by then.
    pub(crate) async fn until_disconnected(&self) {
        let now = *self.link.borrow();
        let _ = self.link.clone().wait_for(|link| !link.up || *link != now).await;
    }

    pub(super) async fn until_down(&self) {
        let _ = self.link.clone().wait_for(|link| !link.up).await;
    }

    /// Waits until publishing makes sense.
    pub(crate) async fn until_ready(&self) {
        while !self.is_ready() {
            self.until_connected().await;
            self.attached().await;
        }
    }

    /// What was found, once it is.
    pub(crate) async fn attached(&self) -> Attached {
        let mut attached = self.attached.subscribe();
        let found = attached.wait_for(Option::is_some).await.ok().and_then(|found| found.clone());
        match found {
            Some(found) => found,
            // `self` holds the sender, so the channel is open.
            None => std::future::pending().await,
        }
    }

    /// The stream that carries the pair, or the one that is to be made.
    pub(crate) fn stream_name(&self) -> String {
        self.attached.borrow().as_ref().map_or_else(|| self.config.stream_name.clone(), |found| found.stream.clone())
    }

    pub(super) fn attach(&self, found: Attached) {
        self.attached.send_replace(Some(found));
    }

    /// Says that the stream or the consumer is not there after all.
    pub(crate) fn detach(&self) {
        self.attached.send_if_modified(|attached| attached.take().is_some());
    }

    pub(crate) async fn until_detached(&self) {
        let _ = self.attached.subscribe().wait_for(Option::is_none).await;
    }

    /// Sends what is still buffered, and ends the connection.
    pub(crate) async fn close(&self) {
        let client = self.context.client();
        let end = async {
            // What cannot be flushed was not acknowledged either, and will be sent again.
            let _ = client.flush().await;
            let _ = client.drain().await;
        };
        if self.is_connected() {
            let _ = tokio::time::timeout(REQUEST_TIMEOUT, end).await;
        }
    }
}

fn addresses(urls: &str) -> Result<Vec<ServerAddr>, ConnectError> {
    let address = |(index, url): (usize, &str)| {
        url.trim().parse::<ServerAddr>().map_err(|source| ConnectError::Url { position: index + 1, source })
    };
    urls.split(',').enumerate().filter(|(_, url)| !url.trim().is_empty()).map(address).collect()
}

fn observe(event: &Event, link: &watch::Sender<Link>) {
    match event {
        Event::Connected => {
            tracing::info!("connected to NATS");
            link.send_modify(|link| *link = Link { up: true, number: link.number + 1 });
        }
        Event::Disconnected => {
            tracing::warn!("NATS is away; events wait in the outbox");
            link.send_modify(|link| link.up = false);
        }
        Event::Closed => {
            tracing::info!("the connection to NATS is closed");
            link.send_modify(|link| link.up = false);
        }
        Event::ServerError(error) => tracing::error!(%error, "NATS refused something"),
        Event::ClientError(error) => tracing::warn!(%error, "NATS client"),
        other => tracing::debug!(event = %other, "NATS"),
    }
}
