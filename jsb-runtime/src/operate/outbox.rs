//! The outbox in an operator's hands: its events are listed, shown, tried again and deleted.

mod change;
mod look;

use chrono::{DateTime, Utc};
use sea_orm::sea_query::{Condition, Expr, ExprTrait};

pub(crate) use change::unsend;
pub use change::{discard, prune, retry, retry_all};
pub(crate) use look::with_ids;
pub use look::{Details, Event, newest, oldest, sent_before, sent_since, show};

pub use crate::outbox::Status;
use crate::outbox::TABLE;

/// Which events of the outbox are meant; by default all.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Those that stand here.
    pub status: Option<Status>,
    /// Those of this resource.
    pub resource: Option<String>,
    /// Those that were recorded at this time or later.
    pub since: Option<DateTime<Utc>>,
}

impl Filter {
    fn condition(&self) -> Condition {
        Condition::all()
            .add_option(self.status.map(Status::condition))
            .add_option(self.resource.as_ref().map(|resource| Expr::col("resource_type").eq(resource.as_str())))
            .add_option(self.since.map(|since| Expr::col("created_at").gte(since)))
    }
}

fn was_sent_since(since: DateTime<Utc>, resource: Option<&str>) -> Condition {
    Condition::all()
        .add(Status::Sent.condition())
        .add(Expr::col("sent_at").gte(since))
        .add_option(resource.map(|resource| Expr::col("resource_type").eq(resource)))
}
