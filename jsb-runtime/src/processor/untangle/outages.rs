//! A circle while the database is away.

use sea_orm::DbErr;

use super::Circled;
use crate::dialect::{self, unless_lost};
use crate::inbox::{self, Stored};
use crate::message::Message;
use crate::processor::Processor;
use crate::processor::trial::MOST_OUTAGES;
use crate::upsert::ApplyError;

impl Processor {
    /// Applies a circle, waiting while the database is away.
    pub(super) async fn apply_through_outages(&self, events: &mut Vec<Stored>) -> Result<Circled, ApplyError> {
        let mut outages = 0;
        loop {
            let error = match self.apply_with_others(events, outages).await {
                Err(error) if error.is_outage() => error,
                ended => return ended,
            };
            tracing::warn!(
                error = error.described(),
                "the database is away; rows that wait for one another wait for it"
            );
            let goes_on = outages < MOST_OUTAGES || !error.ended_connection();
            outages += 1;
            if !(goes_on && self.outlast(outages).await) {
                return Err(error);
            }
        }
    }

    /// Notes that a circle came to an end of which no process died, as soon as the database answers.
    pub(super) async fn take_back_start(&self, message: &Message) -> Result<(), DbErr> {
        let mut failures = 0;
        loop {
            let error = match unless_lost(&self.db, failures, inbox::had_outcome(&self.db, message)).await {
                Err(error) if dialect::is_passing(&error) => error,
                noted => return noted,
            };
            failures += 1;
            if !self.outlast(failures).await {
                return Err(error);
            }
        }
    }
}
