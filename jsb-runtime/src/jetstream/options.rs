//! How to connect: where to, as whom, and whom to trust.

use std::path::Path;

use async_nats::rustls::crypto::{CryptoProvider, ring};
use async_nats::{ConnectOptions, ServerAddr};
use percent_encoding::percent_decode_str;

use crate::config::Config;

/// Why there can be no connection to NATS. A server that is merely away is no error: the client goes on trying.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// An address that cannot be read. It is not shown, since it may hold a password.
    #[error("NATS_URL: entry {position} of its comma list is no server address: {source}")]
    Url {
        /// Which one, from 1.
        position: usize,
        /// Why.
        source: std::io::Error,
    },
    /// The servers want different users, but one app is one user.
    #[error("NATS_URL: the entries of its comma list must have the same user and password or token, or none")]
    DifferentUsers,
    /// A file that cannot be used.
    #[error("{variable}: `{path}`: {source}")]
    File {
        /// The variable that names it.
        variable: &'static str,
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// A server refused the credentials, or they cannot be used.
    #[error("{0}")]
    Refused(String),
    /// The client refused its options.
    #[error("NATS: {0}")]
    Client(#[from] async_nats::ConnectError),
}

/// The servers, without credentials: the client would not use them there, and would log them.
pub(super) fn servers(urls: &str) -> Result<Vec<ServerAddr>, ConnectError> {
    let bare = |server: ServerAddr| {
        let mut url = server.into_inner();
        // They fail on an address without a host, which is none.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        ServerAddr::from_url(url)
    };
    let servers = entries(urls).map(|(position, entry)| {
        address(entry).and_then(bare).map_err(|source| ConnectError::Url { position, source })
    });
    let servers: Vec<ServerAddr> = servers.collect::<Result<_, _>>()?;
    match servers.is_empty() {
        // The client would look for one in a loop that nothing ends.
        true => Err(ConnectError::Refused("NATS_URL names no server".to_owned())),
        false => Ok(servers),
    }
}

/// An address, after which nothing may come: it would be the rest of a password with a `/`, `?` or `#` in it, which the
/// client would log, and whose first part it would look up as a host.
fn address(entry: &str) -> std::io::Result<ServerAddr> {
    let server: ServerAddr = entry.parse()?;
    let url = server.clone().into_inner();
    let refused = |why: &str| Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, why));
    if server.is_websocket() {
        // Built without WebSockets the client would speak plain TCP there, and never TLS.
        return refused("its scheme must be `nats` or `tls`");
    }
    if matches!(url.path(), "" | "/") && url.query().is_none() && url.fragment().is_none() {
        return Ok(server);
    }
    refused("something follows its host and port: what is special in a user or password must be percent-encoded")
}

fn entries(urls: &str) -> impl Iterator<Item = (usize, &str)> {
    urls.split(',').map(str::trim).enumerate().filter(|(_, url)| !url.is_empty()).map(|(index, url)| (index + 1, url))
}

/// Everything but what is to happen with the client's events.
pub(super) fn options(config: &Config) -> Result<ConnectOptions, ConnectError> {
    choose_cryptography();
    let mut options = ConnectOptions::new().name(&config.app_name).custom_inbox_prefix(config.inbox_prefix());
    options = match user(&config.nats_url)? {
        Some((user, Some(password))) => options.user_and_password(user, password),
        Some((token, None)) => options.token(token),
        None => options,
    };
    if let Some(path) = &config.nats_creds {
        let text = read("NATS_CREDS", path)?;
        options = options.credentials(&text).map_err(|source| unusable("NATS_CREDS", path, source))?;
    }
    if let Some(path) = &config.nats_nkey {
        options = options.nkey(read("NATS_NKEY", path)?.trim().to_owned());
    }
    if let Some(path) = &config.nats_ca {
        holds("NATS_CA", path, "BEGIN CERTIFICATE")?;
        options = options.add_root_certificates(path.clone());
    }
    if let (Some(certificate), Some(key)) = (&config.nats_cert, &config.nats_key) {
        holds("NATS_CERT", certificate, "BEGIN CERTIFICATE")?;
        holds("NATS_KEY", key, "PRIVATE KEY")?;
        options = options.add_client_certificate(certificate.clone(), key.clone());
    }
    if wants_tls(config)? {
        // A server names the others of its cluster before TLS begins, so whoever stands in between can name any.
        options = options.require_tls(true).ignore_discovered_servers();
    }
    Ok(options)
}

/// Chooses what TLS encrypts with, unless the application has: where another crate brings a second provider, rustls would panic
/// rather than choose. A server may want TLS that was not asked for here.
fn choose_cryptography() {
    if CryptoProvider::get_default().is_none() {
        // Somebody else may have chosen in between.
        let _ = ring::default_provider().install_default();
    }
}

fn wants_tls(config: &Config) -> Result<bool, ConnectError> {
    let has_file = config.nats_ca.is_some() || config.nats_cert.is_some();
    Ok(has_file || servers(&config.nats_url)?.iter().any(ServerAddr::tls_required))
}

/// The user and the password, or a token alone, that the entries of the list agree on.
fn user(urls: &str) -> Result<Option<(String, Option<String>)>, ConnectError> {
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let mut found = None;
    for (index, (position, entry)) in entries(urls).enumerate() {
        let server = address(entry).map_err(|source| ConnectError::Url { position, source })?;
        let user = server.username().map(|user| (decoded(user), server.password().map(decoded)));
        if index > 0 && found != user {
            return Err(ConnectError::DifferentUsers);
        }
        found = user;
    }
    Ok(found)
}

/// The user that the servers are told of; a token alone names none.
pub(crate) fn user_name(urls: &str) -> Option<String> {
    let (user, password) = user(urls).ok().flatten()?;
    password.map(|_| user)
}

fn read(variable: &'static str, path: &Path) -> Result<String, ConnectError> {
    std::fs::read_to_string(path).map_err(|source| unusable(variable, path, source))
}

/// Checks a PEM file, which the client reads anew for each connection and takes for empty if it holds something else.
fn holds(variable: &'static str, path: &Path, label: &str) -> Result<(), ConnectError> {
    if read(variable, path)?.contains(label) {
        return Ok(());
    }
    let nothing = std::io::Error::new(std::io::ErrorKind::InvalidData, format!("no PEM block `{label}` in it"));
    Err(unusable(variable, path, nothing))
}

fn unusable(variable: &'static str, path: &Path, source: std::io::Error) -> ConnectError {
    ConnectError::File { variable, path: path.display().to_string(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cryptography_is_chosen_whatever_other_crates_bring() {
        options(&Config::new("a", "b").nats_url("nats://127.0.0.1")).expect("options");
        assert!(CryptoProvider::get_default().is_some());
    }

    #[test]
    fn credentials_are_taken_out_of_the_addresses() {
        let urls = "nats://us%40er:p%2Cw%3A@one:4222, us%40er:p%2Cw%3A@two";
        assert_eq!(user(urls).expect("one user"), Some(("us@er".to_owned(), Some("p,w:".to_owned()))));
        let servers = servers(urls).expect("two servers");
        let shown: Vec<&str> = servers.iter().map(ServerAddr::as_url_str).collect();
        assert_eq!(shown, ["nats://one:4222", "nats://two"]);
        assert_eq!(user("tls://token@one").expect("a token"), Some(("token".to_owned(), None)));
        assert_eq!(user("one,two").expect("nobody"), None);
    }

    #[test]
    fn a_url_with_a_password_names_the_user() {
        for url in ["nats://observer:p@one:4222,nats://observer:p@two", "observer:p:w@one", "nats://obs%65rver:p@one"] {
            assert_eq!(user_name(url).as_deref(), Some("observer"), "{url}");
        }
        for url in ["nats://one:4222", "tls://token@one", "one"] {
            assert_eq!(user_name(url), None, "{url}");
        }
    }

    #[test]
    fn a_password_that_is_not_encoded_is_refused_and_not_shown() {
        for url in [
            "nats://a:se@cr/et@one",
            "nats://a:se/cret@one",
            "nats://a:b?se#cret@one",
            "a:b@one/secret",
            "tls://se#cret@one",
        ] {
            let error = servers(url).err().or(user(url).err()).expect("a refusal").to_string();
            assert!(error.starts_with("NATS_URL: entry 1"), "{error}");
            assert!(!error.contains("cret") && !error.contains("cr/et"), "{error}");
        }
        assert!(servers("nats://one:4222/").is_ok());
    }

    #[test]
    fn tls_for_one_server_is_required_of_all() {
        let is_required = |urls: &str| {
            let options = options(&Config::new("a", "b").nats_url(urls)).expect("options");
            format!("{options:?}").contains(r#""tls_required": true"#)
        };
        assert!(is_required("tls://one") && is_required("nats://one, TLS://two"));
        assert!(!is_required("nats://one,two"));
    }

    #[test]
    fn no_server_is_refused() {
        assert!(servers(" , ").is_err());
    }

    #[test]
    fn a_web_socket_is_refused() {
        for url in ["ws://a:secret@one", "wss://a:secret@one"] {
            let error = servers(url).expect_err("a refusal").to_string();
            assert!(error.contains("its scheme must be") && !error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn servers_that_want_different_users_are_refused() {
        for urls in ["a:b@one,a:c@two", "a:b@one,two", "one,token@two"] {
            assert!(matches!(user(urls), Err(ConnectError::DifferentUsers)), "{urls}");
        }
    }
}
