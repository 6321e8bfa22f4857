//! A way to PostgreSQL on which its host can vanish, as in a failover: what was connected hears nothing any more, not even
//! that the connection ended.

use std::net::Ipv4Addr;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// The way; dropped, it ends with all its connections.
pub struct Failover {
    port: u16,
    hosts: watch::Sender<u32>,
    listening: JoinHandle<()>,
}

impl Failover {
    /// Listens on a free port for clients of the server on `server_port`.
    pub async fn before(server_port: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let hosts = watch::Sender::new(0);
        let host = hosts.subscribe();
        let listening = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                connections.spawn(connect(client, server_port, host.clone()));
            }
        });
        Self { port, hosts, listening }
    }

    /// Where clients connect.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Has the host vanish, with all that was not committed, and another one take its place.
    pub fn fail_over(&self) {
        self.hosts.send_modify(|host| *host += 1);
    }
}

impl Drop for Failover {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

async fn connect(mut client: TcpStream, server_port: u16, mut host: watch::Receiver<u32>) {
    host.mark_unchanged();
    let Ok(mut server) = TcpStream::connect((Ipv4Addr::LOCALHOST, server_port)).await else { return };
    tokio::select! {
        _ = copy_bidirectional(&mut client, &mut server) => return,
        changed = host.changed() => if changed.is_err() { return },
    }
    drop(server);
    std::future::pending().await
}
