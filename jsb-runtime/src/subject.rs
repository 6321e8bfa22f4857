//! The subjects and names that a pair of apps uses.

pub(crate) mod api;

/// Where `app` publishes for `destination`.
pub(crate) fn sync(app: &str, destination: &str) -> String {
    format!("{app}.sync.{destination}")
}

/// Where `app` puts what it cannot apply.
pub(crate) fn dlq(app: &str) -> String {
    sync(app, DLQ)
}

/// What the subjects of answers to a user begin with.
pub(crate) fn inbox(user: &str) -> String {
    format!("_INBOX.{user}")
}

/// All subjects that begin so.
pub(crate) fn below(prefix: &str) -> String {
    format!("{prefix}.>")
}

/// The durable consumer of `app`.
pub(crate) fn durable(app: &str) -> String {
    format!("{app}-workers")
}

/// The app that published to a subject.
pub(crate) fn source(subject: &str) -> &str {
    subject.split('.').next().unwrap_or_default()
}

/// The app that a subject is for.
pub(crate) fn destination(subject: &str) -> &str {
    subject.rsplit('.').next().unwrap_or_default()
}

/// Stands in a subject where the other app's name does.
pub(crate) const DLQ: &str = "dlq";

/// The longest name. The server makes a file name of the durable's, which is 8 bytes longer.
pub(crate) const MAX_TOKEN: usize = 200;

/// Whether a name can stand as one token of a subject and within a durable's name.
pub(crate) fn is_token(name: &str) -> bool {
    (1..=MAX_TOKEN).contains(&name.len()) && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
}

/// Whether an app can be called so.
pub(crate) fn is_app(name: &str) -> bool {
    is_token(name) && name != DLQ
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_and_separators_are_no_tokens() {
        assert!(is_token("system_a"));
        for name in ["", "a.b", "*", ">", "a b", "a\n"] {
            assert!(!is_token(name), "{name:?}");
        }
    }
}
