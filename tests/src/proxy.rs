//! A proxy before a NATS server: it can be cut, as a network can, and can lose what a client publishes to some subjects.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

type Loses = fn(&str) -> bool;

/// A proxy; dropped, it ends with all its connections.
pub struct Proxy {
    port: u16,
    is_cut: watch::Sender<bool>,
    loses: Arc<Mutex<Loses>>,
    listening: JoinHandle<()>,
}

impl Proxy {
    /// Listens on a free port for clients of the server on `server_port`.
    pub async fn start(server_port: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let is_cut = watch::Sender::new(false);
        let loses: Arc<Mutex<Loses>> = Arc::new(Mutex::new(|_| false));
        let (cut, lost) = (is_cut.subscribe(), Arc::clone(&loses));
        let listening = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if !*cut.borrow() {
                    tokio::spawn(connect(client, server_port, cut.clone(), Arc::clone(&lost)));
                }
            }
        });
        Self { port, is_cut, loses, listening }
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

    /// Loses what clients publish from now on to the subjects that `loses` says.
    pub fn lose(&self, loses: Loses) {
        *self.loses.lock().unwrap_or_else(PoisonError::into_inner) = loses;
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.cut();
        self.listening.abort();
    }
}

async fn connect(client: TcpStream, server_port: u16, mut cut: watch::Receiver<bool>, loses: Arc<Mutex<Loses>>) {
    let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, server_port)).await else { return };
    let (from_client, mut to_client) = client.into_split();
    let (mut from_server, to_server) = server.into_split();
    tokio::select! {
        _ = tokio::io::copy(&mut from_server, &mut to_client) => {}
        _ = pass_on(from_client, to_server, &loses) => {}
        _ = cut.wait_for(|cut| *cut) => {}
    }
}

/// Passes on what a client sends, line by line; what it publishes is a line that ends with its size, and so many bytes.
async fn pass_on(from: OwnedReadHalf, mut to: OwnedWriteHalf, loses: &Mutex<Loses>) -> std::io::Result<()> {
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
            let loses = *loses.lock().unwrap_or_else(PoisonError::into_inner);
            if loses(subject) {
                continue;
            }
        }
        to.write_all(&frame).await?;
    }
}
