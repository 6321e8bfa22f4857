//! The HTTP server. What one client may take of it is bounded: connections, time, and memory.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::serve::Listener;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;

use crate::api::{self, ApiError};

/// A client that holds its connection open must not hold up the end.
const REQUESTS_END_WITHIN: Duration = Duration::from_secs(5);
/// Line and headers of one request; hyper takes no less than 8 KiB.
const MAX_HEADER_BYTES: usize = 64 * 1024;

/// What clients may take.
#[derive(Clone, Copy)]
struct Limits {
    /// Connections that are open at a time, more of which wait to be accepted.
    connections: usize,
    /// Requests that run at a time, which may outlive their connections; more are refused. Fewer than connections, so that
    /// `/live` gets one.
    running: usize,
    /// For line and headers of a request, and between two requests.
    head: Duration,
    /// For the request as a whole, from its headers to the answer's.
    request: Duration,
    /// For a client to take the next bytes of an answer.
    taking: Duration,
}

const LIMITS: Limits = Limits {
    connections: 512,
    running: 256,
    head: Duration::from_secs(10),
    request: Duration::from_secs(30),
    taking: Duration::from_secs(30),
};

/// A server that runs.
pub(crate) struct Http {
    server: JoinHandle<()>,
    stop: CancellationToken,
}

impl Http {
    pub(crate) fn serve(listener: TcpListener, router: Router) -> Self {
        Self::limited(listener, router, LIMITS)
    }

    fn limited(listener: TcpListener, router: Router, limits: Limits) -> Self {
        let stop = CancellationToken::new();
        let server = tokio::spawn(run(listener, answering(router, limits), limits, stop.clone()));
        Self { server, stop }
    }

    pub(crate) async fn stop(self) {
        self.stop.cancel();
        if tokio::time::timeout(REQUESTS_END_WITHIN, self.server).await.is_err() {
            tracing::warn!("requests were still running");
        }
    }
}

/// What requests share.
#[derive(Clone)]
struct Requests {
    within: Duration,
    slots: Arc<Semaphore>,
}

/// Every request gets an answer, whatever its handler does. `/live` takes no slot: all may be held by requests that hang.
fn answering(router: Router, limits: Limits) -> Router {
    let requests = Requests { within: limits.request, slots: Arc::new(Semaphore::new(limits.running)) };
    router
        .layer(CatchPanicLayer::custom(|_| ApiError::internal().into_response()))
        .layer(middleware::from_fn_with_state(requests, answer_in_time))
        .merge(api::live_router())
}

/// Answers in time. A request runs in a task of its own, which ends by itself when the client has left or the time is over:
/// a save must not be cancelled half way.
async fn answer_in_time(State(requests): State<Requests>, request: Request, next: Next) -> Response {
    // Whoever waited for one would keep a connection, of which `/live` needs one.
    let Ok(slot) = requests.slots.try_acquire_owned() else {
        return unavailable("too many requests run already; nothing was done");
    };
    let run = async move {
        let _until_it_ends = slot;
        next.run(request).await
    };
    match tokio::time::timeout(requests.within, tokio::spawn(run)).await {
        Ok(answer) => answer.unwrap_or_else(|_| ApiError::internal().into_response()),
        Err(_) => unavailable("this took too long; it may have been done or not"),
    }
}

fn unavailable(reason: &str) -> Response {
    ApiError::Refused(StatusCode::SERVICE_UNAVAILABLE, reason.to_owned()).into_response()
}

/// Accepts until `stop`, then lets the requests in hand end.
async fn run(mut listener: TcpListener, router: Router, limits: Limits, stop: CancellationToken) {
    let slots = Arc::new(Semaphore::new(limits.connections));
    let connections = GracefulShutdown::new();
    let service = TowerToHyperService::new(router);
    let mut protocol = http1::Builder::new();
    protocol.timer(TokioTimer::new()).header_read_timeout(limits.head).max_buf_size(MAX_HEADER_BYTES);

    while let Some((client, slot)) = stop.run_until_cancelled(next_client(&mut listener, &slots)).await {
        let mut client = TimeoutStream::new(client);
        client.set_write_timeout(Some(limits.taking));
        let connection = protocol.serve_connection(TokioIo::new(Box::pin(client)), service.clone());
        let connection = connections.watch(connection);
        tokio::spawn(async move {
            let _until_it_ends = slot;
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended");
            }
        });
    }
    drop(listener);
    connections.shutdown().await;
}

async fn next_client(listener: &mut TcpListener, slots: &Arc<Semaphore>) -> (TcpStream, Option<OwnedSemaphorePermit>) {
    // An error would mean that the semaphore is closed, which nobody does.
    let slot = Arc::clone(slots).acquire_owned().await.ok();
    let (client, _) = Listener::accept(listener).await;
    (client, slot)
}

#[cfg(test)]
mod tests;
