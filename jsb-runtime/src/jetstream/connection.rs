//! The connection: made once, kept for ever, with a state that everybody can watch.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_nats::jetstream;
use async_nats::{ClientError, Event, ServerError};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::attached::Attached;
use super::denials::Denials;
use super::limit::{self, Limit};
use super::link::{self, Link, Trouble};
use super::options::{self, ConnectError};
use crate::causes::chain;
use crate::config::Config;
use crate::problems::Problems;

/// How long the client waits before it connects again: short, since an outage ends at some moment, not after a while.
const LONGEST_RECONNECT_DELAY: Duration = Duration::from_secs(2);
/// How often a silent server is asked whether it is there; with the third question unanswered the connection counts as lost. On a
/// slow link the answers come behind a large message, which has [`REQUEST_TIMEOUT`] and [`LONGEST_WAY`].
const PING_INTERVAL: Duration = Duration::from_secs(9);
/// How long the server may take to answer.
pub(super) const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// Bytes a second: how slow a link may be that a large message has its time on.
pub(super) const SLOWEST_LINK: usize = 64 * 1024;
/// The longest that a message has for its way, beside what an answer has.
pub(super) const LONGEST_WAY: Duration = Duration::from_secs(20);

/// The connection and what was found behind it.
#[derive(Clone)]
pub(crate) struct Transport {
    pub(super) context: jetstream::Context,
    pub(super) config: Arc<Config>,
    pub(super) denials: Arc<Denials>,
    pub(super) limit: Arc<Limit>,
    link: watch::Receiver<Link>,
    pub(super) attached: watch::Sender<Option<Attached>>,
    pub(crate) problems: Problems,
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Transport {
    /// One whose NATS is away, and the configuration that it has.
    #[cfg(test)]
    pub(crate) async fn without_nats() -> (Arc<Config>, Self) {
        let config = Arc::new(Config::new("a", "b").nats_url("nats://127.0.0.1:1"));
        let transport = Self::connect(Arc::clone(&config), Instant::now()).await;
        (config, transport.expect("a client that goes on trying"))
    }

    /// Connects, or goes on trying in the background if no server is there by `deadline`. Credentials that a server
    /// refuses by then are an error.
    pub(crate) async fn connect(config: Arc<Config>, deadline: Instant) -> Result<Self, ConnectError> {
        let (sender, link) = watch::channel(Link::new(&config));
        let denials = Arc::new(Denials::new(config.inbox_prefix(), link::unsent(&config)));
        let limit = Arc::new(Limit::default());
        let (attempts, events) = (sender.clone(), sender.clone());
        let (denied, exceeded) = (Arc::clone(&denials), Arc::clone(&limit));
        let has_begun = AtomicBool::new(false);
        let options = options::options(&config)?
            .request_timeout(Some(REQUEST_TIMEOUT))
            .ping_interval(PING_INTERVAL)
            // The client asks before its very first attempt too.
            .reconnect_delay_callback(move |attempts| match has_begun.swap(true, Ordering::Relaxed) {
                false => Duration::ZERO,
                true => crate::backoff::doubling(Duration::from_millis(50), LONGEST_RECONNECT_DELAY, attempts as u32),
            })
            // Chooses none of the servers, but sees what their last attempts failed for.
            .reconnect_to_server_callback(move |servers, _| {
                link::attempted(&servers, &attempts);
                std::future::ready(None)
            })
            .event_callback(move |event| {
                observe(event, &events, &denied, &exceeded);
                std::future::ready(())
            });
        let servers = options::servers(&config.nats_url)?;
        let client = match timeout_at(deadline, options.clone().connect(servers.as_slice())).await {
            Ok(Ok(client)) => client,
            Ok(Err(error)) => {
                let trouble = Trouble::told(chain(&error));
                if trouble.is_own() {
                    return Err(ConnectError::Refused(trouble.to_string()));
                }
                link::note(trouble, &sender);
                options.retry_on_initial_connect().connect(servers.as_slice()).await?
            }
            Err(_) => options.retry_on_initial_connect().connect(servers.as_slice()).await?,
        };
        let context = jetstream::context::ContextBuilder::new()
            .timeout(REQUEST_TIMEOUT)
            .max_ack_inflight(config.batch_size.max(1_000) * 2)
            .backpressure_on_inflight(true)
            .build(client);
        let problems = Problems::default();
        Ok(Self { context, config, denials, limit, link, attached: watch::Sender::new(None), problems })
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
        let now = self.link.borrow().number;
        let _ = self.link.clone().wait_for(|link| !link.up || link.number != now).await;
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

    /// What becomes of events while there is no connection.
    pub(crate) fn unsent(&self) -> &'static str {
        self.link.borrow().unsent
    }

    /// What an operator is to do where there is no connection.
    pub(crate) fn advice(&self) -> String {
        let trouble = self.link.borrow().trouble.clone();
        trouble.map_or_else(|| link::ADVICE.to_owned(), |trouble| trouble.advice())
    }

    /// Says so where the server is older than any that this was tried with.
    pub(crate) fn warn_of_old_server(&self) {
        let client = self.context.client();
        if !client.is_server_compatible(2, 10, 25) {
            tracing::warn!(version = client.server_info().version, "nats-server must be 2.10.25 or newer");
        }
    }

    /// The stream that carries the pair, or the one that is to be made.
    pub(crate) fn stream_name(&self) -> String {
        self.attached.borrow().as_ref().map_or_else(|| self.config.stream_name.clone(), |found| found.stream.clone())
    }

    /// Connects anew, as a server wants it that has denied this app its answers.
    pub(crate) async fn reconnect(&self) {
        if let Err(error) = self.context.client().force_reconnect().await {
            tracing::debug!(%error, "the client has ended");
        }
    }

    /// Everything that a person should look at.
    pub(crate) fn all_problems(&self) -> Vec<String> {
        let link = self.link.borrow().clone();
        let mut problems = match link.up {
            true => [self.denials.problems(), self.problems.reported()].concat(),
            false => vec![link.problem()],
        };
        problems.extend(self.problems.panics());
        problems
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

fn observe(event: Event, link: &watch::Sender<Link>, denials: &Denials, limit: &Limit) {
    match event {
        Event::Connected => {
            denials.clear();
            limit.connected();
            link::up(link);
        }
        Event::Disconnected => {
            tracing::warn!("NATS is away; {}", link.borrow().unsent);
            link::down(link);
        }
        Event::Closed => {
            tracing::info!("the connection to NATS is closed");
            link::down(link);
        }
        Event::ServerError(ServerError::AuthorizationViolation) => link::note(Trouble::Refused, link),
        Event::ServerError(ServerError::Other(message)) if denials.observe(&message) => {}
        Event::ServerError(ServerError::Other(message)) if limit::is_exceeded(&message) => limit.exceeded(),
        Event::ServerError(error) => tracing::error!(%error, "NATS refused something"),
        Event::ClientError(ClientError::Other(error)) => link::failed(error, link),
        Event::ClientError(error) => tracing::warn!(%error, "NATS client"),
        other => tracing::debug!(event = %other, "NATS"),
    }
}
