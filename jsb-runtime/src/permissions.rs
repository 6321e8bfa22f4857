//! Who may do what on the server, when every user may do only what it needs: pure, so that it can be shown and tested.

use crate::subject::{self, api};
use crate::topology::{TopologyError, Wanted, WantedConsumer};

/// The user that provisions the stream and looks after the events.
pub const ADMIN: &str = "admin";
/// The user that may look and change nothing.
pub const OBSERVER: &str = "observer";

/// The users of one stream, and what each of them may do. What is not listed, nobody may.
///
/// ```
/// use jsb_runtime::Config;
/// use jsb_runtime::permissions::Permissions;
/// use jsb_runtime::topology::Wanted;
///
/// let config = Config::new("system_a", "system_b");
/// let permissions = Permissions::of(&Wanted::pairs(&config, [("system_a", "system_b")])?)?;
/// let names: Vec<_> = permissions.users.iter().map(|user| user.name.as_str()).collect();
/// assert_eq!(names, ["admin", "system_a", "system_b", "observer"]);
/// assert!(permissions.users[1].publish.contains(&"system_a.sync.system_b".to_owned()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Permissions {
    /// The admin, each app, and the observer.
    pub users: Vec<User>,
}

/// A user of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct User {
    /// Its name; an app's user is named as the app.
    pub name: String,
    /// The subjects that it may publish to.
    pub publish: Vec<String>,
    /// The subjects that it may subscribe to.
    pub subscribe: Vec<String>,
}

/// Why there are no users for these apps.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PermissionsError {
    /// A name cannot stand in a subject.
    #[error(transparent)]
    Topology(#[from] TopologyError),
    /// A user of another purpose has the app's name.
    #[error("the app `{0}` is named like the user that is made for operators: give it another name")]
    Reserved(String),
}

impl Permissions {
    /// The users of the stream and the consumers that are wanted: an app for each consumer.
    ///
    /// # Errors
    ///
    /// [`PermissionsError`] for a name that would grant more than its own subjects, or that belongs to an operator.
    pub fn of(wanted: &Wanted) -> Result<Self, PermissionsError> {
        let stream = &wanted.stream.name;
        let apps: Vec<App<'_>> = wanted.consumers.iter().map(|consumer| App::of(stream, consumer)).collect();
        let names = apps.iter().flat_map(|app| [app.name, app.other]);
        let no_stream = Some(stream.as_str()).filter(|name| !subject::is_token(name));
        if let Some(wrong) = names.clone().find(|name| !subject::is_app(name)).or(no_stream) {
            return Err(TopologyError::Name(wrong.to_owned()).into());
        }
        if let Some(reserved) = names.clone().find(|name| [ADMIN, OBSERVER].contains(name)) {
            return Err(PermissionsError::Reserved(reserved.to_owned()));
        }
        let mut users = vec![admin(stream, &apps)];
        // Whoever may read a stream reads all of it.
        let may_read = apps.len() == 2;
        users.extend(apps.iter().map(|app| app.user(may_read)));
        users.push(observer(stream, &apps));
        Ok(Self { users })
    }
}

/// One direction of a pair.
struct App<'a> {
    stream: &'a str,
    name: &'a str,
    other: &'a str,
}

impl<'a> App<'a> {
    fn of(stream: &'a str, consumer: &'a WantedConsumer) -> Self {
        let (other, name) = (subject::source(&consumer.filter), subject::destination(&consumer.filter));
        Self { stream, name, other }
    }

    fn durable(&self) -> String {
        subject::durable(self.name)
    }

    fn published(&self) -> [String; 2] {
        [subject::sync(self.name, self.other), subject::dlq(self.name)]
    }

    /// What a bridge calls that provisions nothing.
    fn user(&self, may_read: bool) -> User {
        let (stream, durable) = (self.stream, self.durable());
        let mut publish = Vec::from(self.published());
        publish.push(api::subject(&api::next_messages(stream, &durable)));
        publish.push(api::subject(&api::consumer_info(stream, &durable)));
        publish.extend(api::acknowledgements(stream, &durable));
        // Messages that the server has given up are read by their sequence.
        publish.extend(may_read.then(|| api::subject(&api::get_message(stream))));
        let subscribe = vec![answers(self.name), api::spent_deliveries(stream, &durable)];
        User { name: self.name.to_owned(), publish, subscribe }
    }
}

/// Provisions, reads and replays; deletes single messages, since a purged letter is one, but no stream and no consumer.
fn admin(stream: &str, apps: &[App<'_>]) -> User {
    let calls = [api::stream_info, api::create_stream, api::update_stream, api::get_message, api::delete_message];
    let mut publish = vec![api::subject(api::STREAM_NAMES)];
    publish.extend(calls.map(|call| api::subject(&call(stream))));
    for app in apps {
        let calls = [api::consumer_info, api::put_consumer];
        publish.extend(calls.map(|call| api::subject(&call(stream, &app.durable()))));
        publish.extend(app.published());
    }
    User { name: ADMIN.to_owned(), publish, subscribe: vec![answers(ADMIN)] }
}

fn observer(stream: &str, apps: &[App<'_>]) -> User {
    let calls = [api::stream_info(stream), api::get_message(stream)];
    let consumers = apps.iter().map(|app| api::consumer_info(stream, &app.durable()));
    let publish = calls.into_iter().chain(consumers).map(|call| api::subject(&call)).collect();
    User { name: OBSERVER.to_owned(), publish, subscribe: vec![answers(OBSERVER)] }
}

/// Where the answers to a user arrive.
fn answers(user: &str) -> String {
    subject::below(&subject::inbox(user))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;

    fn of(pairs: &[(&str, &str)]) -> Permissions {
        let wanted = Wanted::pairs(&Config::new("a", "b").stream_name("s"), pairs.iter().copied());
        Permissions::of(&wanted.expect("good names")).expect("good names")
    }

    fn user_of(pairs: &[(&str, &str)], name: &str) -> User {
        of(pairs).users.into_iter().find(|user| user.name == name).expect("a user")
    }

    fn user(name: &str) -> User {
        user_of(&[("a", "b"), ("c", "d")], name)
    }

    #[test]
    fn an_app_may_do_what_its_bridge_does_and_nothing_else() {
        let expected = User {
            name: "a".to_owned(),
            publish: [
                "a.sync.b",
                "a.sync.dlq",
                "$JS.API.CONSUMER.MSG.NEXT.s.a-workers",
                "$JS.API.CONSUMER.INFO.s.a-workers",
                "$JS.ACK.s.a-workers.*.*.*.*.*",
                "$JS.ACK.*.*.s.a-workers.*.*.*.*.*",
                "$JS.ACK.*.*.s.a-workers.*.*.*.*.*.>",
                "$JS.API.STREAM.MSG.GET.s",
            ]
            .map(str::to_owned)
            .into(),
            subscribe: ["_INBOX.a.>", "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.s.a-workers"]
                .map(str::to_owned)
                .into(),
        };
        assert_eq!(user_of(&[("a", "b")], "a"), expected);
    }

    #[test]
    fn nobody_reads_a_stream_that_holds_the_events_of_other_pairs() {
        let mut alone = user_of(&[("a", "b")], "a");
        alone.publish.retain(|subject| subject != "$JS.API.STREAM.MSG.GET.s");
        assert_eq!(user("a"), alone);
    }

    #[test]
    fn an_operator_reaches_every_pair() {
        for app in ["a", "b", "c", "d"] {
            let durable = format!("$JS.API.CONSUMER.DURABLE.CREATE.s.{app}-workers");
            assert!(user(ADMIN).publish.contains(&durable));
            let info = format!("$JS.API.CONSUMER.INFO.s.{app}-workers");
            assert!(user(OBSERVER).publish.contains(&info));
        }
    }

    #[test]
    fn nothing_but_answers_and_acknowledgements_is_granted_by_a_wildcard() {
        for user in of(&[("a", "b")]).users {
            let narrow = |subject: &String| !subject.contains(['*', '>']) || subject.starts_with("$JS.ACK.");
            assert!(user.publish.iter().all(narrow), "{user:?}");
            let narrow = |subject: &String| !subject.contains(['*', '>']) || *subject == answers(&user.name);
            assert!(user.subscribe.iter().all(narrow), "{user:?}");
        }
    }

    #[test]
    fn names_that_would_grant_more_are_refused() {
        let refused = |app: &str, other: &str, stream: &str| {
            Permissions::of(&Wanted::of(&Config::new(app, other).stream_name(stream))).expect_err("a refusal")
        };
        for name in ["*", ">", ""] {
            let no_name = PermissionsError::Topology(TopologyError::Name(name.to_owned()));
            for refusal in [refused(name, "b", "s"), refused("a", name, "s"), refused("a", "b", name)] {
                assert_eq!(refusal, no_name);
            }
        }
        assert_eq!(refused("a", "dlq", "s"), PermissionsError::Topology(TopologyError::Name("dlq".to_owned())));
        for name in [ADMIN, OBSERVER] {
            assert_eq!(refused("a", name, "s"), PermissionsError::Reserved(name.to_owned()));
        }
    }
}
