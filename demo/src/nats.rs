//! The pair's nats-server: open to everybody, or locked down so that each user may do only what it needs.

use dev_servers::{NatsOptions, NatsServer};

use crate::data::DataFolder;
use crate::provision;
use crate::side::{A, B};

/// The port of a server that is locked down, so that it can run beside one that is not.
const RESTRICTIVE_PORT: u16 = 5222;

/// What the systems connect to.
pub(crate) struct Nats {
    server: Option<NatsServer>,
    /// Where system A connects, with its password where it needs one.
    pub url_a: String,
    /// Where system B connects.
    pub url_b: String,
    /// What the banner says of it.
    pub shown: String,
}

impl Nats {
    /// A server that somebody else runs.
    pub(crate) fn given(url: String) -> Self {
        Self { server: None, url_a: url.clone(), url_b: url, shown: "as given".to_owned() }
    }

    /// A server of the pair's own, on which everybody may do everything.
    pub(crate) async fn open(data: &DataFolder, port: Option<u16>) -> Result<Self, dev_servers::Error> {
        let server = start(data, port.unwrap_or(0), String::new()).await?;
        let url = server.url();
        Ok(Self { server: Some(server), url_a: url.clone(), url_b: url.clone(), shown: url })
    }

    /// Ends a server of the pair's own.
    pub(crate) async fn stop(self) {
        if let Some(mut server) = self.server {
            server.stop().await;
        }
    }
}

async fn start(data: &DataFolder, port: u16, config: String) -> Result<NatsServer, dev_servers::Error> {
    let port = (port != 0).then_some(port);
    NatsServer::start(NatsOptions { port, store_dir: Some(data.jetstream()), config, ..NatsOptions::default() }).await
}
