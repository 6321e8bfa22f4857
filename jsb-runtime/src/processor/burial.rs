//! The end of an event that is dead: its letter is taken by the DLQ before its death is recorded, and that before anyone is told.

use std::time::Duration;

use sea_orm::DbErr;

use super::trial::Trial;
use crate::causes::chain;
use crate::dialect;
use crate::dlq::DeadLetter;
use crate::inbox::{self, Move};
use crate::outcome::{Death, Outcome};
use crate::problems::Task;

/// How soon an event is tried again whose dead letter was not taken.
const DLQ_RETRY: Duration = Duration::from_secs(5);

impl Trial<'_> {
    /// Tells the DLQ of a death, once, and then records it. The letter may be on its way for as long as the link takes, with no
    /// transaction open.
    pub(crate) async fn bury(&self, death: &mut Death) -> Result<Outcome, DbErr> {
        death.is_told = death.is_told || !self.processor.config.use_dlq || self.publish_letter(death).await;
        let death = &*death;
        let record = async {
            match death.is_told {
                true => self.record_death(death).await,
                false => self.postpone_death(death).await,
            }
        };
        dialect::unless_lost(&self.processor.db, self.outages, record).await
    }

    /// Publishes the letter; whether it was taken.
    async fn publish_letter(&self, death: &Death) -> bool {
        let (stream, deliveries) =
            (self.processor.transport.stream_name(), self.origin.deliveries(self.processor.config.max_deliver));
        let died_before = self.origin.died_before();
        let letter = DeadLetter { message: self.message, death, died_before, deliveries, stream: &stream };
        let taken = letter.publish(&self.processor.transport, &self.processor.config).await;
        if let Err(refused) = &taken {
            tracing::error!(event_id = self.message.event_id, error = chain(refused), "a dead letter was not taken");
        }
        let problem = taken.as_ref().err().filter(|refused| !refused.stands_elsewhere()).map(|refused| chain(refused));
        self.processor.transport.problems.report(Task::Dlq, problem);
        taken.is_ok()
    }

    async fn record_death(&self, death: &Death) -> Result<Outcome, DbErr> {
        let Death { reason, error, .. } = death;
        if self.inbox_keeps() {
            inbox::make(&self.processor.db, self.message, Move::Bury { reason: *reason, error }).await?;
        }
        tracing::error!(event_id = self.message.event_id, subject = self.message.subject, %reason, error, "an event is dead");
        Ok(Outcome::Dead)
    }

    async fn postpone_death(&self, death: &Death) -> Result<Outcome, DbErr> {
        let reason = death.reason;
        if self.is_left_to_server() {
            if self.inbox_keeps() && !reason.is_counted() {
                inbox::had_outcome(&self.processor.db, self.message).await?;
            }
            return Ok(Outcome::Retry(DLQ_RETRY));
        }
        let postpone = Move::Postpone { reason, retry_after: DLQ_RETRY, error: &death.error };
        inbox::make(&self.processor.db, self.message, postpone).await?;
        self.processor.any_open.send_replace(true);
        Ok(Outcome::Parked)
    }
}
