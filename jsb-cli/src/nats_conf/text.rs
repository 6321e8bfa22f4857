//! The server's own configuration language, in which every line of JSON is at home too.

use std::fmt::{self, Display};

use serde::Serialize;

use super::{Account, Entry, Identity, NatsConf};

impl Display for NatsConf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "accounts {{")?;
        for (name, account) in &self.accounts {
            // Bare, `include` would name a file.
            writeln!(f, "  \"{name}\" {{\n{account}  }}")?;
        }
        writeln!(f, "}}")
    }
}

impl Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(jetstream) = self.jetstream {
            writeln!(f, "    jetstream: {jetstream}")?;
        }
        writeln!(f, "    users: [")?;
        self.users.iter().try_for_each(|user| write!(f, "{user}"))?;
        writeln!(f, "    ]")?;
        list(f, "    ", "exports", &self.exports)?;
        list(f, "    ", "imports", &self.imports)?;
        if !self.mappings.is_empty() {
            writeln!(f, "    mappings: {{")?;
            for (from, to) in &self.mappings {
                writeln!(f, "      \"{from}\": \"{to}\"")?;
            }
            writeln!(f, "    }}")?;
        }
        Ok(())
    }
}

impl Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "      {{\n        {}\n        permissions {{", self.identity)?;
        for (name, allowed) in [("publish", &self.permissions.publish), ("subscribe", &self.permissions.subscribe)] {
            writeln!(f, "          {name} {{")?;
            list(f, "            ", "allow", &allowed.allow)?;
            writeln!(f, "          }}")?;
        }
        writeln!(f, "        }}\n      }}")
    }
}

impl Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Password { user, password } => write!(f, "user: \"{user}\", password: \"{password}\""),
            Self::Variable { user, variable } => write!(f, "user: \"{user}\", password: ${variable}"),
            Self::Nkey { nkey } => write!(f, "nkey: \"{nkey}\""),
        }
    }
}

/// One item a line; nothing where there are none.
fn list<T: Serialize>(f: &mut fmt::Formatter<'_>, indent: &str, name: &str, items: &[T]) -> fmt::Result {
    if items.is_empty() {
        return Ok(());
    }
    writeln!(f, "{indent}{name}: [")?;
    for item in items {
        let line = serde_json::to_string(item).map_err(|_| fmt::Error)?;
        writeln!(f, "{indent}  {line}")?;
    }
    writeln!(f, "{indent}]")
}
