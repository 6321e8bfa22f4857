//! What NATS denies this app's user. To its caller a denied call is only a silence: the denial itself comes to the
//! connection, and from here to the caller and into the status.

use std::collections::BTreeMap;
use std::fmt;
use std::pin::pin;

use chrono::{DateTime, Utc};
use tokio::sync::watch;

use super::connection::Transport;
use crate::clock;
use crate::subject::{self, api};

/// How many denials are kept: what a bridge uses is far less.
const CAPACITY: usize = 64;
/// What the server's message begins with, in lower case.
const VIOLATION: &str = "permissions violation for ";

/// What a NATS user may be allowed to do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Permission {
    /// Publishing to a subject, or asking it.
    Publish(String),
    /// Subscribing to a subject, or receiving answers on it.
    Subscribe(String),
}

/// NATS denies this app's user a permission.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "NATS denies this app's user to {permission}, so {}: `jsb permissions` shows which user may",
    .permission.consequence(.unsent)
)]
#[non_exhaustive]
pub struct Denied {
    /// What is missing, as it is to be granted.
    pub permission: Permission,
    /// What becomes of events that may not be sent.
    unsent: &'static str,
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Publish(subject) => write!(f, "publish to `{subject}`"),
            Self::Subscribe(subject) => write!(f, "subscribe to `{subject}`"),
        }
    }
}

impl Permission {
    /// What the server says that it denied; `None` if it says something else.
    fn denied_by(message: &str, inbox_prefix: &str) -> Option<Self> {
        // Byte for byte as long as the message, whose subject keeps its case.
        let lower = message.to_ascii_lowercase();
        let what = lower.find(VIOLATION)? + VIOLATION.len();
        let subject = message[what..].split('"').nth(1).filter(|subject| !subject.is_empty())?;
        if lower[what..].starts_with("subscription") {
            let is_answer = subject.strip_prefix(inbox_prefix).is_some_and(|rest| rest.starts_with('.'));
            Some(Self::Subscribe(if is_answer { subject::below(inbox_prefix) } else { subject.to_owned() }))
        } else {
            Some(Self::Publish(acknowledgements(subject).unwrap_or_else(|| subject.to_owned())))
        }
    }

    /// What does not work without it.
    fn consequence<'a>(&self, unsent: &'a str) -> &'a str {
        match self {
            Self::Subscribe(subject) if subject.starts_with(api::EVENT) => SPENT,
            Self::Subscribe(_) => "no answer of the server arrives, and nothing is sent or received",
            Self::Publish(subject) => match api::call(subject) {
                Some(call) if call.starts_with(api::NEXT_MESSAGES) => "nothing is received",
                Some(call) if call.starts_with(api::CONSUMER_INFO) => "its consumer could not be checked",
                Some(call) if call.starts_with(api::GET_MESSAGE) => SPENT,
                Some(call) if call.starts_with(api::DELETE_MESSAGE) => "the message stays in the stream",
                Some(call) if call.starts_with(api::STREAM_INFO) => "the stream could not be looked at",
                Some(_) => "stream and consumer cannot be provisioned by this app",
                None if subject.starts_with(api::ACKNOWLEDGEMENT) => "the server delivers again what is done",
                None if subject::destination(subject) == subject::DLQ => "dead events stay in the stream",
                None => unsent,
            },
        }
    }

    /// Whether only AUTO_PROVISION needs it.
    pub(super) fn is_management(&self) -> bool {
        let Self::Publish(subject) = self else { return false };
        let of_messages = [api::NEXT_MESSAGES, api::GET_MESSAGE, api::DELETE_MESSAGE];
        api::call(subject).is_some_and(|call| !of_messages.iter().any(|prefix| call.starts_with(prefix)))
    }
}

const SPENT: &str = "events whose deliveries are spent are not looked for";

/// The subject that allows every acknowledgement on the consumer of one: newer servers put domain and account first.
fn acknowledgements(subject: &str) -> Option<String> {
    let tokens: Vec<&str> = subject.strip_prefix(api::ACKNOWLEDGEMENT)?.split('.').collect();
    let (form, stream, consumer) = match tokens.as_slice() {
        [stream, consumer, _, _, _, _, _] => (0, stream, consumer),
        [_, _, stream, consumer, _, _, _, _, _] => (1, stream, consumer),
        [_, _, stream, consumer, _, _, _, _, _, ..] => (2, stream, consumer),
        _ => return None,
    };
    api::acknowledgements(stream, consumer).into_iter().nth(form)
}

/// How often something was denied, and when last.
#[derive(Clone, Copy, Debug)]
struct Times {
    count: u64,
    last: DateTime<Utc>,
    /// The place of the last time among all denials.
    number: u64,
}

#[derive(Debug, Default)]
struct Book {
    standing: BTreeMap<Permission, Times>,
    /// How many denials there ever were.
    number: u64,
}

/// The denials that stand: each until what was denied works, or the connection is another one.
pub(super) struct Denials {
    inbox_prefix: String,
    unsent: &'static str,
    book: watch::Sender<Book>,
}

impl Denials {
    pub(super) fn new(inbox_prefix: String, unsent: &'static str) -> Self {
        Self { inbox_prefix, unsent, book: watch::Sender::default() }
    }

    fn denied(&self, permission: &Permission) -> Denied {
        Denied { permission: permission.clone(), unsent: self.unsent }
    }

    /// The right to receive answers.
    fn inbox(&self) -> Permission {
        Permission::Subscribe(subject::below(&self.inbox_prefix))
    }

    /// Keeps a denial; whether the server's message is one.
    pub(super) fn observe(&self, message: &str) -> bool {
        let Some(permission) = Permission::denied_by(message, &self.inbox_prefix) else { return false };
        self.book.send_modify(|book| {
            book.number += 1;
            let before = book.standing.get(&permission).map_or(0, |times| times.count);
            if before == 0 {
                tracing::error!("{}", self.denied(&permission));
            }
            if before > 0 || book.standing.len() < CAPACITY {
                let times = Times { count: before + 1, last: clock::now(), number: book.number };
                book.standing.insert(permission, times);
            }
        });
        true
    }

    /// Forgets a denial, since what it denied has worked.
    pub(super) fn works(&self, permission: &Permission) {
        self.all_work(|denied| denied == permission);
    }

    pub(super) fn all_work(&self, work: impl Fn(&Permission) -> bool) {
        self.book.send_if_modified(|book| {
            let before = book.standing.len();
            book.standing.retain(|permission, _| {
                let works = work(permission);
                if works {
                    tracing::info!("NATS allows this app's user to {permission} again");
                }
                !works
            });
            book.standing.len() < before
        });
    }

    /// Forgets everything: what a new connection may not do, it is told anew.
    pub(super) fn clear(&self) {
        self.book.send_modify(|book| book.standing.clear());
    }

    /// Whether a denial stands.
    pub(super) fn stands(&self, permission: &Permission) -> bool {
        self.book.borrow().standing.contains_key(permission)
    }

    /// The denial that stands of the acknowledgement with this subject.
    pub(super) fn of_acknowledgement(&self, subject: &str) -> Option<Permission> {
        if self.book.borrow().standing.is_empty() {
            return None;
        }
        acknowledgements(subject).map(Permission::Publish).filter(|permission| self.stands(permission))
    }

    /// The first denial after this call of what `concerns`.
    pub(super) fn next<F: Fn(&Permission) -> bool>(&self, concerns: F) -> impl Future<Output = Denied> + use<F> {
        let before = self.book.borrow().number;
        self.first(move |permission, times| times.number > before && concerns(permission))
    }

    fn first<F: Fn(&Permission, &Times) -> bool>(&self, is_it: F) -> impl Future<Output = Denied> + use<F> {
        let (mut book, unsent) = (self.book.subscribe(), self.unsent);
        async move {
            loop {
                let found = book
                    .borrow_and_update()
                    .standing
                    .iter()
                    .find(|(permission, times)| is_it(permission, times))
                    .map(|(permission, _)| permission.clone());
                match found {
                    Some(permission) => return Denied { permission, unsent },
                    // The sender lives as long as the connection.
                    None if book.changed().await.is_err() => std::future::pending().await,
                    None => {}
                }
            }
        }
    }

    /// One line for each denial that stands.
    pub(super) fn problems(&self) -> Vec<String> {
        let line = |(permission, times): (&Permission, &Times)| {
            let denied = self.denied(permission);
            format!("{denied} (times: {}, last at {})", times.count, times.last.format("%Y-%m-%dT%H:%M:%SZ"))
        };
        self.book.borrow().standing.iter().map(line).collect()
    }
}

impl Transport {
    /// Asks `subject`, unless NATS denies that: the answer would be waited for in vain.
    pub(super) async fn unless_denied<T, E>(
        &self,
        subject: &str,
        request: impl Future<Output = Result<T, E>>,
    ) -> Result<Result<T, E>, Denied> {
        let permission = Permission::Publish(subject.to_owned());
        let answer = self.unless_any_denied(|denied| *denied == permission, request).await?;
        if answer.is_ok() {
            self.denials.works(&permission);
        }
        Ok(answer)
    }

    /// Does what needs answers, unless NATS denies these or what `concerns`.
    pub(super) async fn unless_any_denied<T>(
        &self,
        concerns: impl Fn(&Permission) -> bool,
        work: impl Future<Output = T>,
    ) -> Result<T, Denied> {
        let inbox = self.denials.inbox();
        let mut denied = pin!(self.denials.next(|permission| concerns(permission) || *permission == inbox));
        // The client subscribes to its answers once in a connection.
        if self.denials.stands(&inbox) {
            return Err(self.denials.denied(&inbox));
        }
        tokio::select! {
            biased;
            done = work => Ok(done),
            denied = &mut denied => Err(denied),
        }
    }

    /// Whether this app's answers are denied, which a new connection alone can mend.
    pub(crate) fn is_deaf(&self) -> bool {
        self.denials.stands(&self.denials.inbox())
    }

    pub(crate) async fn until_deaf(&self) {
        let inbox = self.denials.inbox();
        self.denials.first(|permission, _| *permission == inbox).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn denied_by(message: &str) -> Option<Permission> {
        Permission::denied_by(message, "_INBOX.a")
    }

    fn denials() -> Denials {
        Denials::new("_INBOX.a".to_owned(), "events are somewhere")
    }

    #[test]
    fn every_form_of_the_message_is_read() {
        let publish = |subject: &str| Some(Permission::Publish(subject.to_owned()));
        let subscribe = |subject: &str| Some(Permission::Subscribe(subject.to_owned()));
        let read = [
            (r#"Permissions Violation for Publish to "A.sync.b""#, publish("A.sync.b")),
            (r#"permissions violation for publish to "a""#, publish("a")),
            (r#"Permissions Violation for Subscription to "x" using queue "q""#, subscribe("x")),
            (r#"Permissions Violation for Subscription to "_INBOX.a.x.*" (sid "3")"#, subscribe("_INBOX.a.>")),
            (r#"Permissions Violation for Subscription to "_INBOX.ab.x""#, subscribe("_INBOX.ab.x")),
            (r#"Permissions Violation for Publish to "$JS.ACK.s.d.1.2.3.4.5""#, publish("$JS.ACK.s.d.*.*.*.*.*")),
            (
                r#"Permissions Violation for Publish to "$JS.ACK._.x.s.d.1.2.3.4.5""#,
                publish("$JS.ACK.*.*.s.d.*.*.*.*.*"),
            ),
            (
                r#"Permissions Violation for Publish to "$JS.ACK._.x.s.d.1.2.3.4.5.t""#,
                publish("$JS.ACK.*.*.s.d.*.*.*.*.*.>"),
            ),
            ("Permissions Violation for Publish to", None),
            ("Permissions Violation for Publish to \"", None),
            ("Authorization Violation", None),
        ];
        for (message, permission) in read {
            assert_eq!(denied_by(message), permission, "{message}");
        }
    }

    #[test]
    fn a_server_that_denies_everything_does_not_fill_the_memory() {
        let denials = denials();
        for subject in 0..10 * CAPACITY {
            denials.observe(&format!(r#"Permissions Violation for Publish to "{subject}""#));
            denials.observe(&format!(r#"Permissions Violation for Subscription to "_INBOX.a.{subject}""#));
        }
        assert_eq!(denials.problems().len(), CAPACITY);
    }

    #[tokio::test]
    async fn a_denial_says_what_becomes_of_events() {
        let denials = denials();
        let denied = denials.next(|_| true);
        denials.observe(r#"Permissions Violation for Publish to "a.sync.b""#);
        for said in [denied.await.to_string(), denials.problems().concat()] {
            assert!(said.contains("publish to `a.sync.b`, so events are somewhere: "), "{said}");
        }
    }

    #[tokio::test]
    async fn only_a_denial_from_now_on_ends_a_request() {
        let denials = denials();
        let (one, other) =
            (r#"Permissions Violation for Publish to "one""#, r#"Permissions Violation for Publish to "other""#);
        denials.observe(one);
        let mut next = pin!(denials.next(|permission| *permission == Permission::Publish("one".to_owned())));
        denials.observe(other);
        assert!(futures_util::poll!(&mut next).is_pending());
        denials.observe(one);
        assert!(futures_util::poll!(&mut next).is_ready());
    }
}
