//! The inbox in an operator's hands: its events are listed, shown, tried again and deleted.

mod change;
mod look;

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use sea_orm::sea_query::{Condition, Expr, ExprTrait};

pub use change::{discard, prune, retry, retry_all};
pub use look::{Details, Event, list, settled_before, show};

use super::{SETTLED, TABLE, WAITING};

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
            Self::Failed | Self::Parked => WAITING,
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
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let all = [Self::Processed, Self::Failed, Self::Parked, Self::Dead];
        let found = all.into_iter().find(|status| status.as_str() == text);
        found.ok_or_else(|| format!("`{text}` is no status of an inbox event: write processed, failed, parked or dead"))
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
    pub reason: Option<String>,
    /// Those that were received at this time or later.
    pub since: Option<DateTime<Utc>>,
}

impl Filter {
    fn condition(&self) -> Condition {
        let equal = |column, value: &Option<String>| value.as_ref().map(|value| Expr::col(column).eq(value.as_str()));
        Condition::all()
            .add_option(self.status.map(Status::condition))
            .add_option(equal("resource_type", &self.resource))
            .add_option(equal("reason", &self.reason))
            .add_option(self.since.map(|since| Expr::col("received_at").gte(since)))
    }
}

fn these(source: &str, event_ids: &[String]) -> Condition {
    Condition::all()
        .add(Expr::col("source_app").eq(source))
        .add(Expr::col("event_id").is_in(event_ids.iter().map(String::as_str)))
}
