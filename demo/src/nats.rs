//! The pair's nats-server: open to everybody, or locked down so that each user may do only what it needs.

use anyhow::anyhow;
use dev_servers::{Error, NatsOptions, NatsServer};
use jsb_cli::Secrets;
use jsb_runtime::permissions::ADMIN;

use crate::data::DataFolder;
use crate::provision;
use crate::side::{A, B, ProcessRole};

/// The port of a server that is locked down, so that it can run beside one that is not.
pub(crate) const RESTRICTIVE_PORT: u16 = 5222;
/// The server's users are named before it has a port.
const NOWHERE_YET: &str = "nats://127.0.0.1";

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
    pub(crate) async fn open(data: &DataFolder, port: Option<u16>) -> anyhow::Result<Self> {
        let server = start(data, port.unwrap_or(0), String::new()).await?;
        let url = server.url();
        Ok(Self { server: Some(server), url_a: url.clone(), url_b: url.clone(), shown: url })
    }

    /// A server of the pair's own that is locked down and provisioned: each system has a user that may do what its bridge
    /// does, and nothing else.
    pub(crate) async fn restrictive(data: &DataFolder, port: Option<u16>) -> anyhow::Result<Self> {
        let secrets = Secrets::open(&data.secrets())?;
        let users =
            jsb_cli::users_with_passwords(&provision::wanted(&A.config(ProcessRole::All, NOWHERE_YET)?)?, &secrets)?;
        let server = start(data, port.unwrap_or(RESTRICTIVE_PORT), users).await?;
        let url = |user: &str| -> anyhow::Result<String> {
            Ok(format!("nats://{user}:{}@127.0.0.1:{}", secrets.password(user)?, server.port()))
        };
        let (admin, url_a, url_b) = (url(ADMIN)?, url(A.name)?, url(B.name)?);
        provision::provision(&admin).await?;
        let shown = format!("{}, passwords in {}", server.url(), data.secrets().display());
        Ok(Self { server: Some(server), url_a, url_b, shown })
    }

    /// Ends a server of the pair's own.
    pub(crate) async fn stop(self) {
        if let Some(mut server) = self.server {
            server.stop().await;
        }
    }
}

async fn start(data: &DataFolder, port: u16, config: String) -> anyhow::Result<NatsServer> {
    let port = (port != 0).then_some(port);
    let options = NatsOptions { port, store_dir: Some(data.jetstream()), config, ..NatsOptions::default() };
    NatsServer::start(options).await.map_err(|error| match error {
        Error::PortTaken(_) => anyhow!("{error}\nchoose another port: --nats-port 5223 (or DEMO_NATS_PORT)"),
        error => error.into(),
    })
}
