//! The users in the forms that nats-server reads: its own configuration language, and JSON.
//!
//! Permissions alone do not hold: the server answers wherever a request says, with rights of its own, so a user that may
//! acknowledge a message may have the "acknowledged" sent to `$JS.API.STREAM.DELETE`. So every user has an account of its
//! own, without JetStream, that imports what the user may do from the admin's account, where the stream is. An answer
//! comes back into the account that asked, and reaches nothing there.

mod text;

use std::collections::BTreeMap;

use jsb_runtime::permissions::{ADMIN, User};
use serde::Serialize;

/// Requests to JetStream go by another name until they are in the admin's account: in its own, the server answers to
/// them that there is no JetStream.
const API: &str = "$JS.API.";
const LOCAL_API: &str = "jsb.api.";

/// The part of a configuration that says who may do what.
#[derive(Serialize)]
pub(crate) struct NatsConf {
    accounts: BTreeMap<String, Account>,
}

#[derive(Default, Serialize)]
struct Account {
    #[serde(skip_serializing_if = "Option::is_none")]
    jetstream: Option<&'static str>,
    users: Vec<Entry>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    exports: Vec<Export>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    imports: Vec<Import>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    mappings: BTreeMap<String, String>,
}

/// How a user proves who it is, and what it may do.
#[derive(Serialize)]
struct Entry {
    #[serde(flatten)]
    identity: Identity,
    permissions: Permissions,
}

/// How a user proves who it is.
#[derive(Serialize)]
#[serde(untagged)]
pub(crate) enum Identity {
    /// By a password, of which the server knows the hash.
    Password {
        /// The name.
        user: String,
        /// The hash.
        password: String,
    },
    /// By a password that the server finds in a variable. In JSON there are no variables.
    #[serde(skip)]
    Variable {
        /// The name.
        user: String,
        /// The variable.
        variable: String,
    },
    /// By a key, of which the server knows the public part.
    Nkey {
        /// The public part.
        nkey: String,
    },
}

#[derive(Serialize)]
struct Permissions {
    publish: Allowed,
    subscribe: Allowed,
}

/// A list that is there denies what is not in it.
#[derive(Serialize)]
struct Allowed {
    allow: Vec<String>,
}

/// What an account lets others do (a service) or hear (a stream of messages).
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Kind<T> {
    Service(T),
    Stream(T),
}

#[derive(Serialize)]
struct Export {
    #[serde(flatten)]
    what: Kind<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_type: Option<&'static str>,
    accounts: Vec<String>,
}

#[derive(Serialize)]
struct Import {
    #[serde(flatten)]
    what: Kind<Origin>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<String>,
}

#[derive(Serialize)]
struct Origin {
    account: &'static str,
    subject: String,
}

impl NatsConf {
    /// An account for each of these users.
    pub(crate) fn of(users: impl IntoIterator<Item = (User, Identity)>) -> Self {
        let (mut accounts, mut exports) = (BTreeMap::new(), BTreeMap::new());
        for (user, identity) in users {
            let name = user.name.clone();
            let account = match name.as_str() {
                ADMIN => Account::admin(user, identity),
                _ => {
                    share(&user, &mut exports);
                    Account::importing(user, identity)
                }
            };
            accounts.insert(name, account);
        }
        if let Some(admin) = accounts.get_mut(ADMIN) {
            admin.exports = exports.into_values().collect();
        }
        Self { accounts }
    }
}

/// Lets the user's account have what the user needs.
fn share(user: &User, exports: &mut BTreeMap<String, Export>) {
    let services = user.publish.iter().map(|subject| (subject, Kind::Service(subject.clone())));
    let streams = heard(user).map(|subject| (subject, Kind::Stream(subject.clone())));
    for (subject, what) in services.chain(streams) {
        // One request for messages is answered by many.
        let response_type = subject.starts_with("$JS.API.CONSUMER.MSG.NEXT.").then_some("stream");
        let export = exports.entry(subject.clone()).or_insert(Export { what, response_type, accounts: Vec::new() });
        export.accounts.push(user.name.clone());
    }
}

/// What a user hears of others; its answers are its account's own.
fn heard(user: &User) -> impl Iterator<Item = &String> {
    user.subscribe.iter().filter(|subject| !subject.starts_with("_INBOX."))
}

fn local(subject: &str) -> Option<String> {
    subject.strip_prefix(API).map(|call| format!("{LOCAL_API}{call}"))
}

impl Account {
    fn admin(user: User, identity: Identity) -> Self {
        let users = vec![Entry::of(user.publish, user.subscribe, identity)];
        Self { jetstream: Some("enabled"), users, ..Self::default() }
    }

    fn importing(user: User, identity: Identity) -> Self {
        let origin = |subject: &String| Origin { account: ADMIN, subject: subject.clone() };
        let services = user.publish.iter().map(|s| Import { what: Kind::Service(origin(s)), to: local(s) });
        let streams = heard(&user).map(|s| Import { what: Kind::Stream(origin(s)), to: None });
        let imports = services.chain(streams).collect();
        let mappings: BTreeMap<_, _> = user.publish.iter().filter_map(|s| Some((s.clone(), local(s)?))).collect();
        // Servers check a mapped request by its new name.
        let publish = user.publish.into_iter().chain(mappings.values().cloned()).collect();
        let users = vec![Entry::of(publish, user.subscribe, identity)];
        Self { users, imports, mappings, ..Self::default() }
    }
}

impl Entry {
    fn of(publish: Vec<String>, subscribe: Vec<String>, identity: Identity) -> Self {
        let permissions = Permissions { publish: Allowed { allow: publish }, subscribe: Allowed { allow: subscribe } };
        Self { identity, permissions }
    }
}
