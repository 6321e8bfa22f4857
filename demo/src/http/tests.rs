use std::net::SocketAddr;
use std::time::Instant;

use axum::routing::{MethodRouter, get};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::watch;

use super::*;

const DEADLINE: Duration = Duration::from_secs(30);
const SHORT: Duration = Duration::from_millis(200);
const GENEROUS: Limits = Limits { connections: 8, running: 8, head: DEADLINE, request: DEADLINE, taking: DEADLINE };

async fn panics() -> &'static str {
    panic!("a fault of a handler")
}

async fn server(limits: Limits) -> (SocketAddr, Http) {
    serving(pages(), limits).await
}

fn pages() -> Router {
    Router::new()
        .route("/", get(async || "here"))
        .route("/panics", get(panics))
        .route("/hangs", get(std::future::pending::<()>))
        .route("/large", get(async || vec![b'x'; 64 * 1024 * 1024]))
}

/// A page that hangs, and whether anybody has asked for it.
fn hanging() -> (MethodRouter, watch::Receiver<bool>) {
    let (begun, has_begun) = watch::channel(false);
    let hangs = async move || {
        begun.send_replace(true);
        std::future::pending::<()>().await;
    };
    (get(hangs), has_begun)
}

async fn serving(router: Router, limits: Limits) -> (SocketAddr, Http) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    (listener.local_addr().expect("its address"), Http::limited(listener, router, limits))
}

async fn send(address: SocketAddr, request: &str) -> TcpStream {
    let mut client = TcpStream::connect(address).await.expect("a connection");
    client.write_all(request.as_bytes()).await.expect("a request");
    client
}

/// What comes until the server closes the connection.
async fn all(client: &mut TcpStream) -> Vec<u8> {
    let mut answer = Vec::new();
    let read = tokio::time::timeout(DEADLINE, client.read_to_end(&mut answer)).await;
    // A connection that is cut in the middle of an answer may end in an error; what came before counts.
    let _ = read.expect("the server ends the connection");
    answer
}

async fn get_page(address: SocketAddr, path: &str) -> String {
    let mut client = send(address, &format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")).await;
    String::from_utf8(all(&mut client).await).expect("text")
}

#[tokio::test]
async fn a_handler_that_panics_is_answered_for() {
    let (address, _server) = server(GENEROUS).await;
    let answer = get_page(address, "/panics").await;
    assert!(answer.starts_with("HTTP/1.1 500") && answer.ends_with(r#"{"error":"internal server error"}"#), "{answer}");
    assert!(get_page(address, "/").await.ends_with("here"), "it serves on");
}

#[tokio::test]
async fn a_handler_that_hangs_is_answered_for() {
    let (address, _server) = server(Limits { request: SHORT, ..GENEROUS }).await;
    let answer = get_page(address, "/hangs").await;
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains(r#"{"error":"this took too long"#), "{answer}");
}

#[tokio::test]
async fn that_the_process_lives_is_answered_at_once_while_all_that_may_run_hangs() {
    let (hangs, mut has_begun) = hanging();
    let limits = Limits { running: 1, ..GENEROUS };
    let (address, _server) = serving(pages().route("/begun", hangs), limits).await;
    let _client = send(address, "GET /begun HTTP/1.1\r\nHost: x\r\n\r\n").await;
    has_begun.wait_for(|begun| *begun).await.expect("the request begins");

    let refused = get_page(address, "/").await;
    assert!(refused.starts_with("HTTP/1.1 503") && refused.contains("too many requests"), "{refused}");
    let lives = get_page(address, "/live").await;
    assert!(lives.starts_with("HTTP/1.1 200") && lives.ends_with(r#"{"status":"ok"}"#), "{lives}");
}

#[tokio::test]
async fn what_a_request_has_begun_ends_although_its_client_has_left() {
    let (begun, ended) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let may_end = Arc::new(Semaphore::new(0));
    let steps = (Arc::clone(&begun), Arc::clone(&may_end), Arc::clone(&ended));
    let slow = get(async move || {
        let (begun, may_end, ended) = steps;
        begun.add_permits(1);
        let _ = may_end.acquire().await;
        ended.add_permits(1);
    });
    let (address, _server) = serving(Router::new().route("/", slow), Limits { request: SHORT, ..GENEROUS }).await;
    let client = send(address, "GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let _begun = tokio::time::timeout(DEADLINE, begun.acquire()).await.expect("the request begins");
    drop(client);
    assert!(get_page(address, "/").await.contains("this took too long"), "the server has seen time pass");
    may_end.add_permits(2);
    let _ended = tokio::time::timeout(DEADLINE, ended.acquire_many(2)).await.expect("both requests end");
}

#[tokio::test]
async fn a_request_that_never_ends_and_one_that_never_begins_are_cut_off() {
    let (address, _server) = server(Limits { head: SHORT, ..GENEROUS }).await;
    for started in ["GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ", "", "GET / HTTP/1.1\r\nHost: x\r\n\r\n"] {
        let asked = Instant::now();
        let mut client = send(address, started).await;
        let answer = String::from_utf8(all(&mut client).await).expect("text");
        assert!(asked.elapsed() < DEADLINE && !answer.contains(" 500"), "{started:?}: {answer}");
    }
}

#[tokio::test]
async fn a_client_that_does_not_take_its_answer_is_cut_off() {
    let limits = Limits { connections: 1, taking: SHORT, ..GENEROUS };
    let (address, _server) = server(limits).await;
    let _takes_nothing = send(address, "GET /large HTTP/1.1\r\nHost: x\r\n\r\n").await;
    // There is one slot only: that the next client is served shows that the first one has lost it.
    assert!(get_page(address, "/").await.ends_with("here"));
}

#[tokio::test]
async fn so_many_clients_and_no_more_are_served_at_a_time() {
    let (address, _server) = server(Limits { connections: 1, ..GENEROUS }).await;
    let first = send(address, "").await;
    let mut second = send(address, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    let mut byte = [0];
    let early = tokio::time::timeout(SHORT, second.peek(&mut byte)).await;
    assert!(early.is_err(), "the second was served beside the first");
    drop(first);
    let answer = String::from_utf8(all(&mut second).await).expect("text");
    assert!(answer.ends_with("here"), "{answer}");
}

#[tokio::test]
async fn headers_without_end_are_refused() {
    let (address, _server) = server(GENEROUS).await;
    let long = "x".repeat(2 * MAX_HEADER_BYTES);
    let answer = get_page(address, &format!("/?{long}")).await;
    assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
}

#[tokio::test]
async fn a_request_in_hand_is_answered_at_the_end_and_an_idle_connection_does_not_hold_it_up() {
    let (hangs, mut has_begun) = hanging();
    let (address, server) = serving(pages().route("/begun", hangs), Limits { request: SHORT, ..GENEROUS }).await;
    let idle = send(address, "GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    idle.readable().await.expect("an answer");
    let mut client = send(address, "GET /begun HTTP/1.1\r\nHost: x\r\n\r\n").await;
    has_begun.wait_for(|begun| *begun).await.expect("the request begins");

    let asked = Instant::now();
    server.stop().await;
    assert!(asked.elapsed() < REQUESTS_END_WITHIN, "the idle connection held up the end");
    let answer = String::from_utf8(all(&mut client).await).expect("text");
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(TcpStream::connect(address).await.is_err(), "nobody listens any more");
}
