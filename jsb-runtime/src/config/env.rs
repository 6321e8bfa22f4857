//! The environment, read once; no other place does.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::{Config, ConfigError, Node};

impl Config {
    /// The names of all variables that a configuration is read from, in the order of the table in docs/configuration.md.
    pub const VARIABLES: &[&str] = &[
        "APP_NAME",
        "DESTINATION_APP",
        "NATS_URL",
        "NATS_CREDS",
        "NATS_NKEY",
        "NATS_CA",
        "NATS_CERT",
        "NATS_KEY",
        "NATS_INBOX_PREFIX",
        "STREAM_NAME",
        "AUTO_PROVISION",
        "USE_OUTBOX",
        "USE_INBOX",
        "USE_DLQ",
        "MAX_DELIVER",
        "ACK_WAIT",
        "BACKOFF",
        "MAX_ACK_PENDING",
        "STREAM_REPLICAS",
        "STREAM_MAX_AGE",
        "BATCH_SIZE",
        "OUTBOX_RETENTION",
        "INBOX_RETENTION",
        "TOMBSTONE_RETENTION",
        "PARK_FOR",
        "KEEP_PARENT_AFTER",
        "NODE_INDEX",
        "NODE_COUNT",
        "ROLES",
    ];

    /// Reads the environment, once, and checks it.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] with every fault at once.
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::read(Self::variable)
    }

    /// A variable of the environment, for a `lookup` of your own. One that is no UTF-8 does not pass for one that is not set.
    ///
    /// ```
    /// use jsb_runtime::Config;
    ///
    /// let config = Config::read(|name| match name {
    ///     "APP_NAME" => Some("system_a".to_owned()),
    ///     "DESTINATION_APP" => Some("system_b".to_owned()),
    ///     other => Config::variable(other),
    /// })?;
    /// assert_eq!(config.app_name, "system_a");
    /// # Ok::<(), jsb_runtime::ConfigError>(())
    /// ```
    pub fn variable(name: &str) -> Option<String> {
        std::env::var_os(name).map(|text| text.to_string_lossy().into_owned())
    }

    /// Reads the variables that `lookup` gives, and checks them.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] with every fault at once.
    pub fn read(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let mut env = Variables { lookup, faults: Vec::new() };
        let name = |variable| env.text(variable).unwrap_or_default();
        let mut config = Self::new(name("APP_NAME"), name("DESTINATION_APP"));
        env.read("NATS_URL", &mut config.nats_url, parsed);
        env.read("NATS_CREDS", &mut config.nats_creds, optional);
        env.read("NATS_NKEY", &mut config.nats_nkey, optional);
        env.read("NATS_CA", &mut config.nats_ca, optional);
        env.read("NATS_CERT", &mut config.nats_cert, optional);
        env.read("NATS_KEY", &mut config.nats_key, optional);
        env.read("NATS_INBOX_PREFIX", &mut config.nats_inbox_prefix, optional);
        env.read("STREAM_NAME", &mut config.stream_name, parsed);
        env.read("AUTO_PROVISION", &mut config.auto_provision, switch);
        env.read("USE_OUTBOX", &mut config.use_outbox, switch);
        env.read("USE_INBOX", &mut config.use_inbox, switch);
        env.read("USE_DLQ", &mut config.use_dlq, switch);
        env.read("MAX_DELIVER", &mut config.max_deliver, parsed);
        env.read("ACK_WAIT", &mut config.ack_wait, duration);
        env.read("BACKOFF", &mut config.backoff, |text| list(text, duration));
        env.read("MAX_ACK_PENDING", &mut config.max_ack_pending, parsed);
        env.read("STREAM_REPLICAS", &mut config.stream_replicas, optional);
        env.read("STREAM_MAX_AGE", &mut config.stream_max_age, |text| duration(text).map(Some));
        env.read("BATCH_SIZE", &mut config.batch_size, parsed);
        env.read("OUTBOX_RETENTION", &mut config.outbox_retention, duration);
        env.read("INBOX_RETENTION", &mut config.inbox_retention, duration);
        env.read("TOMBSTONE_RETENTION", &mut config.tombstone_retention, optional_duration);
        env.read("PARK_FOR", &mut config.park_for, duration);
        env.read("KEEP_PARENT_AFTER", &mut config.keep_parent_after, duration);
        env.read("ROLES", &mut config.roles, |text| list(text, parsed));
        config.node = env.node();
        env.faults.extend(config.faults());
        if env.faults.is_empty() { Ok(config) } else { Err(ConfigError { faults: env.faults }) }
    }
}

struct Variables<L> {
    lookup: L,
    faults: Vec<String>,
}

impl<L: Fn(&str) -> Option<String>> Variables<L> {
    fn text(&self, name: &str) -> Option<String> {
        (self.lookup)(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
    }

    fn read<T>(&mut self, name: &str, field: &mut T, parse: impl Fn(&str) -> Result<T, String>) {
        match self.text(name).as_deref().map(parse) {
            Some(Ok(value)) => *field = value,
            Some(Err(fault)) => self.faults.push(format!("{name}: {fault}")),
            None => {}
        }
    }

    fn node(&mut self) -> Option<Node> {
        let (mut index, mut count) = (None, None);
        self.read("NODE_INDEX", &mut index, optional);
        self.read("NODE_COUNT", &mut count, optional);
        match (index, count) {
            (Some(index), Some(count)) => Some(Node { index, count }),
            (None, None) => None,
            _ => {
                self.faults.push("NODE_INDEX and NODE_COUNT must be set together".to_owned());
                None
            }
        }
    }
}

fn parsed<T: FromStr<Err: fmt::Display>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: T::Err| error.to_string())
}

fn optional<T: FromStr<Err: fmt::Display>>(text: &str) -> Result<Option<T>, String> {
    parsed(text).map(Some)
}

fn switch(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        other => Err(format!("`{other}` is neither true nor false")),
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|error| format!("`{text}` is no duration such as 30s, 5m or 7d: {error}"))
}

fn optional_duration(text: &str) -> Result<Option<Duration>, String> {
    if text.eq_ignore_ascii_case("off") { Ok(None) } else { duration(text).map(Some) }
}

fn list<T, C: FromIterator<T>>(text: &str, parse: impl Fn(&str) -> Result<T, String>) -> Result<C, String> {
    text.split(',').map(|item| parse(item.trim())).collect()
}
