//! The state of the connection: whether it is there, and if not, why.

use async_nats::{ConnectErrorKind, Server};
use tokio::sync::watch;

/// Words in the errors of a TLS handshake that failed.
const HANDSHAKE: [&str; 4] = ["certificate", "fatal alert", "corrupt message", "incompatible"];

/// The state of the connection. It is counted, since one that was lost and is back again has lost its pull requests.
#[derive(Clone, Debug, Default)]
pub(super) struct Link {
    pub(super) up: bool,
    pub(super) number: u64,
    pub(super) trouble: Option<Trouble>,
}

/// Why there is no connection, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Trouble {
    #[error(
        "NATS refuses this app's credentials (authorization violation): compare the user and password or token in \
         NATS_URL, NATS_CREDS or NATS_NKEY with the server's users"
    )]
    Refused,
    #[error(
        "this app's credentials or TLS files cannot be used: {0}; look at NATS_CREDS, NATS_NKEY, NATS_CA, NATS_CERT \
         and NATS_KEY"
    )]
    Unusable(String),
    #[error(
        "the TLS handshake with NATS fails: {0}; NATS_CA must hold the roots of the server's certificate, and NATS_CERT \
         and NATS_KEY must be set if the server asks for a certificate"
    )]
    Handshake(String),
    #[error("NATS is away, and events wait in the outbox: {0}")]
    Away(String),
}

impl Trouble {
    /// What the client's error means; it comes as text only, once the client tries by itself.
    pub(super) fn told(error: String) -> Self {
        let is = |kind: ConnectErrorKind| error.contains(&kind.to_string());
        if is(ConnectErrorKind::AuthorizationViolation) {
            Self::Refused
        } else if is(ConnectErrorKind::Authentication) || is(ConnectErrorKind::Tls) {
            Self::Unusable(error)
        } else if HANDSHAKE.iter().any(|word| error.contains(word)) {
            Self::Handshake(error)
        } else {
            Self::Away(error)
        }
    }

    /// What the last attempts on these servers failed for.
    fn of(servers: &[Server]) -> Option<Self> {
        let failed = |server: &Server| {
            let error = server.last_error.as_ref()?;
            Some(format!("{}:{}: {error}", server.addr.host(), server.addr.port()))
        };
        let failures: Vec<String> = servers.iter().filter_map(failed).collect();
        (!failures.is_empty()).then(|| Self::told(failures.join("; ")))
    }

    /// Whether an operator must act: waiting does not mend it.
    pub(super) fn is_own(&self) -> bool {
        matches!(self, Self::Refused | Self::Unusable(_))
    }
}

/// Notes that the connection is there.
pub(super) fn up(link: &watch::Sender<Link>) {
    tracing::info!("connected to NATS");
    link.send_modify(|link| *link = Link { up: true, number: link.number + 1, trouble: None });
}

/// Notes that the connection is gone.
pub(super) fn down(link: &watch::Sender<Link>) {
    link.send_modify(|link| {
        link.up = false;
        link.trouble.get_or_insert_with(|| Trouble::Away("the connection was lost".to_owned()));
    });
}

/// Notes what the servers said to the last attempts, before the next one.
pub(super) fn attempted(servers: &[Server], link: &watch::Sender<Link>) {
    if let Some(trouble) = Trouble::of(servers) {
        note(trouble, link);
    }
}

/// Notes what the client says of an attempt: in a word, so that the details it may know from before are worth more.
pub(super) fn failed(error: String, link: &watch::Sender<Link>) {
    let trouble = Trouble::told(error);
    if trouble.is_own() || link.borrow().trouble.is_none() {
        note(trouble, link);
    }
}

/// Keeps a trouble, and says so once.
pub(super) fn note(trouble: Trouble, link: &watch::Sender<Link>) {
    link.send_if_modified(|link| {
        let is_new = link.trouble.as_ref() != Some(&trouble);
        if is_new {
            match &trouble {
                Trouble::Away(_) => tracing::warn!("{trouble}"),
                _ => tracing::error!("{trouble}"),
            }
            link.trouble = Some(trouble);
        }
        is_new
    });
}
