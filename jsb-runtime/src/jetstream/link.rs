//! The state of the connection: whether it is there, and if not, why.

use async_nats::{ConnectErrorKind, Server};
use tokio::sync::watch;

use crate::config::Config;

/// Words in the errors of a TLS handshake that failed.
const HANDSHAKE: [&str; 4] = ["certificate", "fatal alert", "corrupt message", "incompatible"];

/// What an operator is to do where nothing is known.
pub(super) const ADVICE: &str = "see that it runs, and that NATS_URL and the credentials are right";

/// The state of the connection. It is counted, since one that was lost and is back again has lost its pull requests.
#[derive(Clone, Debug)]
pub(super) struct Link {
    pub(super) up: bool,
    pub(super) number: u64,
    pub(super) trouble: Option<Trouble>,
    /// What becomes of events meanwhile.
    pub(super) unsent: &'static str,
}

impl Link {
    /// One that was never up.
    pub(super) fn new(config: &Config) -> Self {
        Self { up: false, number: 0, trouble: None, unsent: unsent(config) }
    }

    /// Why there is no connection, and what becomes of events meanwhile.
    pub(super) fn problem(&self) -> String {
        self.trouble.as_ref().map_or_else(|| "NATS does not answer".to_owned(), |trouble| self.said_of(trouble))
    }

    fn said_of(&self, trouble: &Trouble) -> String {
        match trouble {
            Trouble::Away(error) => format!("NATS is away, and {}: {error}", self.unsent),
            trouble => trouble.to_string(),
        }
    }
}

/// What becomes of events that cannot be sent.
pub(super) fn unsent(config: &Config) -> &'static str {
    match config.use_outbox {
        true => "events wait in the outbox",
        false => "events are lost (USE_OUTBOX=false)",
    }
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
    #[error("NATS is away: {0}")]
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

    /// What an operator is to do about it, who sends no events.
    pub(super) fn advice(&self) -> String {
        match self {
            Self::Away(error) => format!("{ADVICE} ({error})"),
            trouble => trouble.to_string(),
        }
    }
}

/// Notes that the connection is there.
pub(super) fn up(link: &watch::Sender<Link>) {
    tracing::info!("connected to NATS");
    link.send_modify(|link| (link.up, link.number, link.trouble) = (true, link.number + 1, None));
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
            let said = link.said_of(&trouble);
            match &trouble {
                Trouble::Away(_) => tracing::warn!("{said}"),
                _ => tracing::error!("{said}"),
            }
            link.trouble = Some(trouble);
        }
        is_new
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_is_away_says_what_becomes_of_events() {
        let said = |use_outbox: bool, note: &dyn Fn(&watch::Sender<Link>)| {
            let link = watch::Sender::new(Link::new(&Config::new("a", "b").use_outbox(use_outbox)));
            note(&link);
            link.borrow().problem()
        };
        let refused = |link: &watch::Sender<Link>| failed("refused".to_owned(), link);
        assert_eq!(said(true, &refused), "NATS is away, and events wait in the outbox: refused");
        assert_eq!(said(false, &refused), "NATS is away, and events are lost (USE_OUTBOX=false): refused");
        assert_eq!(said(true, &down), "NATS is away, and events wait in the outbox: the connection was lost");
        assert_eq!(said(false, &down), "NATS is away, and events are lost (USE_OUTBOX=false): the connection was lost");
    }

    #[test]
    fn an_operator_is_told_what_is_wrong() {
        let advice = |error: &str| Trouble::told(error.to_owned()).advice();
        let away = "see that it runs, and that NATS_URL and the credentials are right (DNS error: no such host)";
        assert_eq!(advice("DNS error: no such host"), away);
        assert!(advice("IO error: invalid peer certificate: UnknownIssuer").contains("NATS_CA must hold"));
    }
}
