//! The inbox in an operator's hands: its events are listed, shown, tried again and deleted.

mod change;
mod look;

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use sea_orm::sea_query::{Condition, Expr, ExprTrait};

pub use change::{discard, prune, retry, retry_all};
pub use look::{Details, Event, newest, oldest, settled_before, show};

use crate::inbox::{OPEN, SETTLED, TABLE};
use crate::names::{UnknownName, named};
pub use crate::reason::Reason;

/// What became of an event of the inbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Status {
    /// It was applied, or was older than what is here.
    Processed,
    /// It failed and is tried again.
    Failed,
    /// It waits for what it lacks.
    Parked,
    /// It is in the DLQ, or where that is off, here.
    Dead,
}

impl Status {
    fn as_str(self) -> &'static str {
        match self {
            Self::Processed => "processed",
            Self::Failed => "failed",
            Self::Parked => "parked",
            Self::Dead => "dead",
        }
    }

    /// Literals rather than bound values; the second is in the words of the partial indexes.
    fn condition(self) -> Condition {
        let indexed = match self {
            Self::Failed | Self::Parked => OPEN,
            Self::Processed | Self::Dead => SETTLED,
        };
        Condition::all().add(Expr::cust(format!("status = '{self}'"))).add(Expr::cust(indexed))
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Status {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        named(text, "status of an inbox event", [Self::Processed, Self::Failed, Self::Parked, Self::Dead])
    }
}

/// Which events of the inbox are meant; by default all.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Those that stand here.
    pub status: Option<Status>,
    /// Those of this resource.
    pub resource: Option<String>,
    /// Those that are parked or dead for this reason.
    pub reason: Option<Reason>,
    /// Those that were received at this time or later.
    pub since: Option<DateTime<Utc>>,
}

impl Filter {
    fn condition(&self) -> Condition {
        Condition::all()
            .add_option(self.status.map(Status::condition))
            .add_option(self.resource.as_deref().map(|resource| Expr::col("resource_type").eq(resource)))
            .add_option(self.reason.map(|reason| Expr::col("reason").eq(reason.as_str())))
            .add_option(self.since.map(|since| Expr::col("received_at").gte(since)))
    }
}

fn these(source: &str, event_ids: &[String]) -> Condition {
    Condition::all()
        .add(Expr::col("source_app").eq(source))
        .add(Expr::col("event_id").is_in(event_ids.iter().map(String::as_str)))
}
