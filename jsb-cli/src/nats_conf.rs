//! The users in the forms that nats-server reads: its own configuration language, and JSON.

use std::fmt;

use jsb_runtime::permissions::User;
use serde::Serialize;

/// The part of a configuration that says who may do what.
#[derive(Serialize)]
pub(crate) struct NatsConf {
    authorization: Authorization,
}

#[derive(Serialize)]
struct Authorization {
    users: Vec<Entry>,
}

#[derive(Serialize)]
struct Entry {
    #[serde(skip)]
    name: String,
    #[serde(flatten)]
    identity: Identity,
    permissions: Lists,
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
struct Lists {
    publish: Allowed,
    subscribe: Allowed,
}

/// A list that is there denies what is not in it.
#[derive(Serialize)]
struct Allowed {
    allow: Vec<String>,
}

impl NatsConf {
    pub(crate) fn of(users: impl IntoIterator<Item = (User, Identity)>) -> Self {
        let entry = |(user, identity): (User, Identity)| Entry {
            name: user.name,
            identity,
            permissions: Lists {
                publish: Allowed { allow: user.publish },
                subscribe: Allowed { allow: user.subscribe },
            },
        };
        Self { authorization: Authorization { users: users.into_iter().map(entry).collect() } }
    }
}

impl fmt::Display for NatsConf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "authorization {{\n  users = [")?;
        for entry in &self.authorization.users {
            write!(f, "{entry}")?;
        }
        writeln!(f, "  ]\n}}")
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "    {{ # {}", self.name)?;
        match &self.identity {
            Identity::Password { user, password } => {
                writeln!(f, "      user: \"{user}\"\n      password: \"{password}\"")?
            }
            Identity::Variable { user, variable } => {
                writeln!(f, "      user: \"{user}\"\n      password: ${variable}")?
            }
            Identity::Nkey { nkey } => writeln!(f, "      nkey: \"{nkey}\"")?,
        }
        let Lists { publish, subscribe } = &self.permissions;
        writeln!(f, "      permissions {{")?;
        writeln!(f, "        publish {{ allow: [\n{publish}        ] }}")?;
        writeln!(f, "        subscribe {{ allow: [\n{subscribe}        ] }}")?;
        writeln!(f, "      }}\n    }}")
    }
}

impl fmt::Display for Allowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.allow.iter().try_for_each(|subject| writeln!(f, "          \"{subject}\""))
    }
}
