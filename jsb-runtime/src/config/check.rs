//! The rules that a configuration must keep, all checked at once.

use std::path::Path;
use std::time::Duration;

use super::{Config, ConfigError, STREAM_MAX_AGE};
use crate::subject::{self, DLQ, MAX_TOKEN};

/// Beyond it, times and what NATS counts in nanoseconds run over.
const LONGEST: Duration = Duration::from_secs(36_500 * 24 * 60 * 60);

impl Config {
    /// Checks the configuration as a whole; `start` does so too.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] with every fault at once.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let faults = self.faults();
        if faults.is_empty() { Ok(()) } else { Err(ConfigError { faults }) }
    }

    /// The files that are named, by their variables.
    fn files(&self) -> impl Iterator<Item = (&'static str, &Path)> {
        [
            ("NATS_CREDS", &self.nats_creds),
            ("NATS_NKEY", &self.nats_nkey),
            ("NATS_CA", &self.nats_ca),
            ("NATS_CERT", &self.nats_cert),
            ("NATS_KEY", &self.nats_key),
        ]
        .into_iter()
        .filter_map(|(variable, path)| Some((variable, path.as_deref()?)))
    }

    /// Everything that is added to a time, by its variable.
    fn durations(&self) -> impl Iterator<Item = (&'static str, Duration)> {
        [
            ("ACK_WAIT", self.ack_wait),
            ("BACKOFF", self.longest_backoff()),
            ("STREAM_MAX_AGE", self.stream_max_age.unwrap_or_default()),
            ("OUTBOX_RETENTION", self.outbox_retention),
            ("INBOX_RETENTION", self.inbox_retention),
            ("TOMBSTONE_RETENTION", self.tombstone_retention.unwrap_or_default()),
            ("PARK_FOR", self.park_for),
            ("KEEP_PARENT_AFTER", self.keep_parent_after),
        ]
        .into_iter()
    }

    pub(super) fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut rule = |holds: bool, fault: &str| {
            if !holds {
                faults.push(fault.to_owned());
            }
        };
        let token = &format!("must be a token of at most {MAX_TOKEN} letters, digits, `_` and `-`");
        for (variable, name) in [("APP_NAME", &self.app_name), ("DESTINATION_APP", &self.destination_app)] {
            rule(!name.is_empty(), &format!("{variable} must be set"));
            rule(
                name.is_empty() || subject::is_app(name),
                &format!("{variable} {token}, and not `{DLQ}`, the name of the dead letter subject"),
            );
        }
        rule(
            self.app_name.is_empty() || self.app_name != self.destination_app,
            "DESTINATION_APP must differ from APP_NAME",
        );
        rule(subject::is_token(&self.stream_name), &format!("STREAM_NAME {token}"));
        rule(self.nats_url.split(',').any(|entry| !entry.trim().is_empty()), "NATS_URL must name a server");
        rule(
            self.nats_creds.is_none() || self.nats_nkey.is_none(),
            "NATS_CREDS and NATS_NKEY must not both be set: a credentials file holds its own nkey",
        );
        rule(self.nats_cert.is_some() == self.nats_key.is_some(), "NATS_CERT and NATS_KEY must be set together");
        rule(
            self.nats_inbox_prefix
                .iter()
                .all(|prefix| prefix.len() <= MAX_TOKEN && prefix.split('.').all(subject::is_token)),
            &format!(
                "NATS_INBOX_PREFIX must be tokens of letters, digits, `_` and `-`, joined by dots, {MAX_TOKEN} bytes at most"
            ),
        );
        for (variable, path) in self.files() {
            if let Err(error) = std::fs::File::open(path) {
                // Not shown: it may be the secret itself, where somebody took the variable for its place.
                rule(false, &format!("{variable}: the file that it names cannot be read: {error}"));
            }
        }
        for (variable, duration) in self.durations() {
            rule(duration <= LONGEST, &format!("{variable} must be at most 36500d"));
        }
        rule(self.max_deliver >= 1, "MAX_DELIVER must be at least 1");
        rule(!self.backoff.is_empty(), "BACKOFF must hold at least one delay");
        rule(self.backoff.iter().all(|delay| !delay.is_zero()), "BACKOFF must hold delays above zero");
        rule(self.max_ack_pending >= 1, "MAX_ACK_PENDING must be at least 1");
        rule(self.ack_wait >= Duration::from_secs(1), "ACK_WAIT must be at least 1s");
        let stream_max_age = self.stream_max_age.unwrap_or(STREAM_MAX_AGE);
        rule(!stream_max_age.is_zero(), "STREAM_MAX_AGE must be above zero, which the server takes for ever");
        rule(
            self.stream_replicas.is_none_or(|replicas| (1..=5).contains(&replicas)),
            "STREAM_REPLICAS must be between 1 and 5",
        );
        rule((1..=10_000).contains(&self.batch_size), "BATCH_SIZE must be between 1 and 10000");
        rule(
            self.inbox_retention >= stream_max_age.saturating_add(self.outbox_retention),
            "INBOX_RETENTION must be at least STREAM_MAX_AGE plus OUTBOX_RETENTION: \
             an event that can still come again must be remembered",
        );
        rule(
            self.tombstone_retention.is_none_or(|retention| retention >= self.park_for),
            "TOMBSTONE_RETENTION must be at least PARK_FOR: what waits for so long would be taken for what was deleted meanwhile",
        );
        rule(self.use_inbox || self.use_dlq, "USE_INBOX and USE_DLQ must not both be off: a dead event needs a place");
        rule(!self.roles.is_empty(), "ROLES must name relay, consumer, or both");
        rule(self.node.is_none_or(|node| node.index < node.count), "NODE_INDEX must be below NODE_COUNT");
        faults
    }
}
