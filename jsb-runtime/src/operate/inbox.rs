//! The inbox in an operator's hands: its events are listed, shown, tried again and deleted.

mod change;
mod look;

use chrono::{DateTime, Utc};
use sea_orm::sea_query::{Condition, Expr, ExprTrait};

pub use change::{discard, prune, retry, retry_all};
pub use look::{Details, Event, newest, oldest, settled_before, show};

pub use crate::inbox::Status;
use crate::inbox::TABLE;
pub use crate::reason::Reason;

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
            .add_option(self.reason.map(|reason| Expr::col("reason").eq(reason)))
            .add_option(self.since.map(|since| Expr::col("received_at").gte(since)))
    }
}

fn these(source: &str, event_ids: &[String]) -> Condition {
    Condition::all()
        .add(Expr::col("source_app").eq(source))
        .add(Expr::col("event_id").is_in(event_ids.iter().map(String::as_str)))
}
