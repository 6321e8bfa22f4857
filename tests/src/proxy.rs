//! A proxy before a NATS server: it can be cut, as a network can, can lose or spoil some of what a client publishes, and
//! can hold back what the server answers, or pass it on slowly.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::servers;

/// By a subject.
type Loses = fn(&str) -> bool;
/// By a subject and a body.
type Spoils = fn(&str, &[u8]) -> bool;

/// A proxy; dropped, it ends with all its connections.
pub struct Proxy {
    port: u16,
    is_cut: watch::Sender<bool>,
    is_held: watch::Sender<bool>,
    slowness: watch::Sender<Duration>,
    way_on: Arc<Mutex<WayOn>>,
    listening: JoinHandle<()>,
}

impl Proxy {
    /// Listens for clients of the server that all tests share.
    pub async fn before_nats() -> Self {
        Self::start(servers::nats().await.port()).await
    }

    /// Listens on a free port for clients of the server on `server_port`.
    pub async fn start(server_port: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let is_cut = watch::Sender::new(false);
        let way_on = Arc::new(Mutex::new(WayOn { loses: |_| false, spoils: |_, _| false }));
        let is_held = watch::Sender::new(false);
        let slowness = watch::Sender::new(Duration::ZERO);
        let (cut, way) = (is_cut.subscribe(), Arc::clone(&way_on));
        let way_back = WayBack { held: is_held.subscribe(), slowness: slowness.subscribe() };
        let listening = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if !*cut.borrow() {
                    tokio::spawn(connect(client, server_port, cut.clone(), way_back.clone(), Arc::clone(&way)));
                }
            }
        });
        Self { port, is_cut, is_held, slowness, way_on, listening }
    }

    /// Where clients connect.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Ends every connection and takes no new one.
    pub fn cut(&self) {
        self.is_cut.send_replace(true);
    }

    /// Takes connections again.
    pub fn mend(&self) {
        self.is_cut.send_replace(false);
    }

    /// Holds back what the server says from now on.
    pub fn hold(&self) {
        self.is_held.send_replace(true);
    }

    /// Passes on what was held back, and what comes.
    pub fn let_go(&self) {
        self.is_held.send_replace(false);
    }

    /// Takes this long for each KiB of what the server says from now on.
    pub fn slow_down(&self, per_kib: Duration) {
        self.slowness.send_replace(per_kib);
    }

    /// Loses what clients publish from now on to the subjects that `loses` says.
    pub fn lose(&self, loses: Loses) {
        self.way_on.lock().unwrap_or_else(PoisonError::into_inner).loses = loses;
    }

    /// Spoils the end of what clients publish from now on where `spoils` says so: no JSON is left of it.
    pub fn spoil(&self, spoils: Spoils) {
        self.way_on.lock().unwrap_or_else(PoisonError::into_inner).spoils = spoils;
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.cut();
        self.listening.abort();
    }
}

async fn connect(
    client: TcpStream,
    server_port: u16,
    mut cut: watch::Receiver<bool>,
    way_back: WayBack,
    way_on: Arc<Mutex<WayOn>>,
) {
    let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, server_port)).await else { return };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        _ = pass_back(from_server, to_client, way_back) => {}
        _ = pass_on(from_client, to_server, &way_on) => {}
        _ = cut.wait_for(|cut| *cut) => {}
    }
}

/// What becomes of what clients publish.
#[derive(Clone, Copy)]
struct WayOn {
    loses: Loses,
    spoils: Spoils,
}

/// What becomes of what the server says.
#[derive(Clone)]
struct WayBack {
    held: watch::Receiver<bool>,
    /// For each KiB.
    slowness: watch::Receiver<Duration>,
}

/// Passes on what the server says, as soon as nobody holds it.
async fn pass_back(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut way: WayBack) -> std::io::Result<()> {
    let mut bytes = vec![0; 64 * 1024];
    loop {
        let read = from.read(&mut bytes).await?;
        // The sender ends with the proxy, and this with it.
        if read == 0 || way.held.wait_for(|held| !held).await.is_err() {
            return Ok(());
        }
        let slowness = *way.slowness.borrow();
        tokio::time::sleep(slowness.mul_f64(read as f64 / 1024.0)).await;
        to.write_all(&bytes[..read]).await?;
    }
}

/// Passes on what a client sends, line by line; what it publishes is a line that ends with its size, and so many bytes.
async fn pass_on(from: OwnedReadHalf, mut to: OwnedWriteHalf, way_on: &Mutex<WayOn>) -> std::io::Result<()> {
    let mut from = BufReader::new(from);
    loop {
        let mut frame = Vec::new();
        if from.read_until(b'\n', &mut frame).await? == 0 {
            return Ok(());
        }
        let line = String::from_utf8_lossy(&frame).into_owned();
        let words: Vec<&str> = line.split_whitespace().collect();
        if let ["PUB" | "HPUB", subject, .., size] = words.as_slice() {
            let size: usize = size.parse().expect("the size of a payload");
            let line_end = frame.len();
            frame.resize(line_end + size + "\r\n".len(), 0);
            from.read_exact(&mut frame[line_end..]).await?;
            let WayOn { loses, spoils } = *way_on.lock().unwrap_or_else(PoisonError::into_inner);
            if loses(subject) {
                continue;
            }
            let end = line_end + size;
            if spoils(subject, &frame[line_end..end]) {
                frame[end - 1] = b'!';
            }
        }
        to.write_all(&frame).await?;
    }
}
