//! The configuration: a plain struct, read from the environment once, checked as a whole.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::names::closed_set;
use crate::subject;

mod check;
mod env;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How long a stream that is made keeps its messages where nobody says.
pub(crate) const STREAM_MAX_AGE: Duration = Duration::from_secs(30 * DAY.as_secs());

/// Everything that a bridge can be told, by variable, default and meaning; every field may be set.
///
/// ```
/// use jsb_runtime::{Config, Role};
/// let config = Config::new("system_a", "system_b").nats_url("nats://127.0.0.1:4222").roles([Role::Relay]);
/// assert_eq!(config.stream_name, "sync-stream");
/// ```
#[derive(Clone)]
#[cfg_attr(test, derive(PartialEq))]
#[non_exhaustive]
pub struct Config {
    /// `APP_NAME`: this application's name, a token of letters, digits, `_` and `-`.
    pub app_name: String,
    /// `DESTINATION_APP`: the application on the other side.
    pub destination_app: String,
    /// `NATS_URL`, `nats://127.0.0.1:4222`: one server or a comma list, with credentials where the servers want them.
    pub nats_url: String,
    /// `NATS_CREDS`: a credentials file, with a user's JWT and the seed of its nkey.
    pub nats_creds: Option<PathBuf>,
    /// `NATS_NKEY`: a file that holds the seed of an nkey.
    pub nats_nkey: Option<PathBuf>,
    /// `NATS_CA`: a PEM file with the root certificates to trust, in place of the system's.
    pub nats_ca: Option<PathBuf>,
    /// `NATS_CERT`: a PEM file with this client's certificate, for servers that ask for one.
    pub nats_cert: Option<PathBuf>,
    /// `NATS_KEY`: a PEM file with the private key of `NATS_CERT`.
    pub nats_key: Option<PathBuf>,
    /// `NATS_INBOX_PREFIX`: what the subjects of answers begin with; [`Config::inbox_prefix`] where unset.
    pub nats_inbox_prefix: Option<String>,
    /// `STREAM_NAME`, `sync-stream`: the stream that is made when none carries the subjects yet.
    pub stream_name: String,
    /// `AUTO_PROVISION`, on: whether the stream and the consumer are made or brought up to date at start.
    pub auto_provision: bool,
    /// `USE_OUTBOX`, on: whether events are recorded with the row; off, they are published after commit, at most once.
    pub use_outbox: bool,
    /// `USE_INBOX`, on: whether received events are recorded; off, only the version check guards against duplicates.
    pub use_inbox: bool,
    /// `USE_DLQ`, on: whether dead events are published to the DLQ; off, they stay in the inbox as `dead`.
    pub use_dlq: bool,
    /// `MAX_DELIVER`, 5: how often a handler may fail on an event, and how often the server delivers it.
    pub max_deliver: u32,
    /// `ACK_WAIT`, 30 s: how long a process that tries a parked event, or one that the server has given up, keeps it from the others.
    pub ack_wait: Duration,
    /// `BACKOFF`, 1, 5, 15, 30 and 60 s: the delays before an event is tried again.
    pub backoff: Vec<Duration>,
    /// `MAX_ACK_PENDING`, 20,000: how many deliveries may wait for their acknowledgement, failed ones for their next try among
    /// them. Less where a server, an account or a stream allows less.
    pub max_ack_pending: u32,
    /// `STREAM_REPLICAS`: replicas of a stream that is made, 1 where unset. One that is there keeps its own where unset.
    pub stream_replicas: Option<usize>,
    /// `STREAM_MAX_AGE`: how long a stream that is made keeps its messages, 30 d where unset. One that is there keeps its own
    /// where unset.
    pub stream_max_age: Option<Duration>,
    /// `BATCH_SIZE`, 1,000: how many events are relayed or pulled at a time, as far as they fit in 8 MiB.
    pub batch_size: usize,
    /// `OUTBOX_RETENTION`, 7 d: how long sent events are kept.
    pub outbox_retention: Duration,
    /// `INBOX_RETENTION`, 45 d: how long processed and dead events are kept.
    pub inbox_retention: Duration,
    /// `TOMBSTONE_RETENTION`: how long tombstones are kept; for ever where unset.
    pub tombstone_retention: Option<Duration>,
    /// `PARK_FOR`, 7 d: how long an event waits for what it lacks before it goes to the DLQ.
    pub park_for: Duration,
    /// `KEEP_PARENT_AFTER`, 60 s: how long a delete of the other side waits for the row's children here to go, before this side
    /// keeps the row.
    pub keep_parent_after: Duration,
    /// `NODE_INDEX` and `NODE_COUNT`: which interleaved keys this system draws.
    pub node: Option<Node>,
    /// `ROLES`, both: what this process does.
    pub roles: BTreeSet<Role>,
}

/// What is relayed or pulled at a time is no larger than this, but for a single event that is: events may be as large as
/// the server takes, so that their number alone bounds no memory.
pub(crate) const MAX_BATCH_BYTES: usize = 8 * 1024 * 1024;

/// Node `index` of `count` draws ids with `id mod count = index`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Node {
    /// From 0 to `count - 1`.
    pub index: u32,
    /// How many systems draw keys.
    pub count: u32,
}

closed_set! {
    "role":
    /// A part of the bridge's work, which can be split over processes.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
    #[non_exhaustive]
    pub enum Role {
        /// Publishes what the outbox holds.
        Relay = "relay",
        /// Pulls and applies events.
        Consumer = "consumer",
    }
}

/// Everything that is wrong with a configuration, one fault a line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the configuration has {} fault(s):\n  {}", .faults.len(), .faults.join("\n  "))]
pub struct ConfigError {
    /// The faults, each beginning with the variable's name.
    pub faults: Vec<String>,
}

impl Config {
    /// The defaults for the app `app_name` that syncs with `destination_app`.
    pub fn new(app_name: impl Into<String>, destination_app: impl Into<String>) -> Self {
        Self {
            app_name: app_name.into(),
            destination_app: destination_app.into(),
            nats_url: "nats://127.0.0.1:4222".to_owned(),
            nats_creds: None,
            nats_nkey: None,
            nats_ca: None,
            nats_cert: None,
            nats_key: None,
            nats_inbox_prefix: None,
            stream_name: "sync-stream".to_owned(),
            auto_provision: true,
            use_outbox: true,
            use_inbox: true,
            use_dlq: true,
            max_deliver: 5,
            ack_wait: Duration::from_secs(30),
            backoff: [1, 5, 15, 30, 60].map(Duration::from_secs).to_vec(),
            max_ack_pending: 20_000,
            stream_replicas: None,
            stream_max_age: None,
            batch_size: 1_000,
            outbox_retention: 7 * DAY,
            inbox_retention: 45 * DAY,
            tombstone_retention: None,
            park_for: 7 * DAY,
            keep_parent_after: Duration::from_secs(60),
            node: None,
            roles: BTreeSet::from([Role::Relay, Role::Consumer]),
        }
    }
}

macro_rules! setters {
    ($($name:ident: $ty:ty => $value:expr;)+) => {
        impl Config {
            $(#[doc = concat!("Sets [`Config::", stringify!($name), "`].")]
            #[must_use]
            pub fn $name(mut self, $name: $ty) -> Self {
                self.$name = $value;
                self
            })+
        }
    };
}

setters! {
    nats_url: impl Into<String> => nats_url.into();
    nats_creds: impl Into<PathBuf> => Some(nats_creds.into());
    nats_nkey: impl Into<PathBuf> => Some(nats_nkey.into());
    nats_ca: impl Into<PathBuf> => Some(nats_ca.into());
    nats_cert: impl Into<PathBuf> => Some(nats_cert.into());
    nats_key: impl Into<PathBuf> => Some(nats_key.into());
    nats_inbox_prefix: impl Into<String> => Some(nats_inbox_prefix.into());
    stream_name: impl Into<String> => stream_name.into();
    auto_provision: bool => auto_provision;
    use_outbox: bool => use_outbox;
    use_inbox: bool => use_inbox;
    use_dlq: bool => use_dlq;
    max_deliver: u32 => max_deliver;
    ack_wait: Duration => ack_wait;
    backoff: impl Into<Vec<Duration>> => backoff.into();
    max_ack_pending: u32 => max_ack_pending;
    stream_replicas: usize => Some(stream_replicas);
    stream_max_age: Duration => Some(stream_max_age);
    batch_size: usize => batch_size;
    outbox_retention: Duration => outbox_retention;
    inbox_retention: Duration => inbox_retention;
    tombstone_retention: Duration => Some(tombstone_retention);
    park_for: Duration => park_for;
    keep_parent_after: Duration => keep_parent_after;
    roles: impl Into<BTreeSet<Role>> => roles.into();
}

impl Config {
    /// Sets [`Config::node`].
    #[must_use]
    pub fn node(mut self, index: u32, count: u32) -> Self {
        self.node = Some(Node { index, count });
        self
    }

    /// What the subjects of answers to this app begin with: [`Config::nats_inbox_prefix`], or `_INBOX.{app_name}`. The
    /// app needs the right to subscribe below it, and nobody else does.
    ///
    /// ```
    /// assert_eq!(jsb_runtime::Config::new("system_a", "system_b").inbox_prefix(), "_INBOX.system_a");
    /// ```
    pub fn inbox_prefix(&self) -> String {
        self.nats_inbox_prefix.clone().unwrap_or_else(|| subject::inbox(&self.app_name))
    }

    /// Where this app publishes for the other one.
    pub(crate) fn outgoing(&self) -> String {
        subject::sync(&self.app_name, &self.destination_app)
    }

    /// Where the other one publishes for this app.
    pub(crate) fn incoming(&self) -> String {
        subject::sync(&self.destination_app, &self.app_name)
    }

    /// The longest delay before something is tried again.
    pub(crate) fn longest_backoff(&self) -> Duration {
        self.backoff.iter().copied().max().unwrap_or_default()
    }
}

/// Shows who syncs with whom and what is on, and no credentials.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("app_name", &self.app_name)
            .field("destination_app", &self.destination_app)
            .field("nats_url", &without_credentials(&self.nats_url))
            .field("stream_name", &self.stream_name)
            .field("auto_provision", &self.auto_provision)
            .field("use_outbox", &self.use_outbox)
            .field("use_inbox", &self.use_inbox)
            .field("use_dlq", &self.use_dlq)
            .field("roles", &self.roles)
            .field("node", &self.node)
            .finish_non_exhaustive()
    }
}

/// The servers of a URL list, without user, password or token. What stands before the last of them and names no server
/// for certain may be part of a password with a comma in it.
pub(crate) fn without_credentials(urls: &str) -> String {
    let entries: Vec<&str> = urls.split(',').map(str::trim).collect();
    let hide = |(index, entry): (usize, &&str)| match entry.rsplit_once('@') {
        Some((before, host)) => format!("{}***@{host}", before.find("://").map_or("", |end| &before[..end + 3])),
        None if entries[index..].iter().any(|later| later.contains('@')) => "***".to_owned(),
        None => (*entry).to_owned(),
    };
    entries.iter().enumerate().map(hide).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests;
