//! One event of a circle, while others of it are still to come.

use std::borrow::Cow;

use sea_orm::{DatabaseTransaction, TransactionTrait};

use super::CIRCLE;
use crate::apply::{Attempt, Written};
use crate::dialect::{self, Fault};
use crate::event::Envelope;
use crate::inbox::Stored;
use crate::message::Message;
use crate::processor::Processor;
use crate::processor::circle::Circle;
use crate::processor::obstacle::{self, Obstacle};
use crate::processor::trial::Trial;
use crate::registry::EntityRegistration;
use crate::row::RowId;
use crate::schema::Said;
use crate::upsert::{self, ApplyError};

/// An event of a circle, resolved.
pub(super) struct Member<'a> {
    pub(super) message: &'a Message,
    pub(super) event: &'a Envelope,
    entity: &'static EntityRegistration,
    /// The row that it speaks of, as `resource/id`.
    pub(super) row: String,
}

/// What came of trying one event of a circle.
pub(super) enum Among {
    /// It was tried to its end; whether its row still lacks references to rows of the circle that are to come.
    Tried(Option<Written>, bool),
    /// It cannot do without a row of the circle that is to come.
    TooEarly(ApplyError),
    /// Rows that are none of the circle's are in its way.
    Blocked(Vec<String>, ApplyError),
}

impl Processor {
    /// These events as those of a circle; `None` if one of them can be of none.
    pub(super) fn members<'a>(&self, events: &'a [Stored]) -> Option<Vec<Member<'a>>> {
        let member = |Stored { message, .. }: &'a Stored| {
            let event = message.envelope.as_ref().ok()?;
            let entity = self.registry.entity(&event.resource_type)?;
            Some(Member { message, event, entity, row: message.row()? })
        };
        events.iter().map(member).collect()
    }

    /// Writes one event of a circle. A row of the circle that is in its way steps aside for the moment, and a reference to one that is
    /// to come is left out.
    pub(super) async fn write_among(
        &self,
        txn: &DatabaseTransaction,
        &Member { message, event, entity, .. }: &Member<'_>,
        members: &[Member<'_>],
        to_come: &Circle<String>,
    ) -> Result<Among, ApplyError> {
        let schema = entity.schema();
        let still_to_come = |row: &RowId| {
            let name = self.registry.name_of(row).filter(|name| to_come.is_to_come(name))?;
            members.iter().find(|member| member.row == name)
        };
        let (mut event, mut lacks_references) = (Cow::Borrowed(event), false);
        // Each row of the circle is in the way once at the most for each unique index and reference, of which a column is enough.
        for _ in 0..to_come.size() * schema.columns.len() {
            let savepoint = txn.begin().await?;
            let error = match self.attempt_among(message, &event).write_in(&savepoint).await {
                Ok(written) => {
                    savepoint.commit().await?;
                    return Ok(Among::Tried(written, lacks_references));
                }
                Err(error) => error,
            };
            savepoint.rollback().await?;
            let ApplyError::Db(refused) = &error else { return Err(error) };
            let obstacle = match dialect::fault(refused) {
                Fault::ForeignKey => Obstacle::Parent,
                Fault::Unique => Obstacle::Unique(dialect::unique_columns(txn, refused).await?),
                _ => return Err(error),
            };
            let rows = obstacle::blocked_by(txn, schema, &event, &obstacle).await?;
            let Some((row, its)) = rows.iter().find_map(|row| Some((row, still_to_come(row)?))) else {
                let names = rows.iter().filter_map(|row| self.registry.name_of(row)).collect();
                return Ok(Among::Blocked(names, error));
            };
            match &obstacle {
                Obstacle::Unique(columns) if obstacle::move_aside(txn, schema, its.event, columns).await? => {}
                Obstacle::Unique(_) => return Err(error),
                Obstacle::Parent => match obstacle::without_reference(schema, &event, row)? {
                    Some(without) => (event, lacks_references) = (Cow::Owned(without), true),
                    None => return Ok(Among::TooEarly(error)),
                },
            }
        }
        let written = self.attempt_among(message, &event).write_in(txn).await?;
        Ok(Among::Tried(written, lacks_references))
    }

    /// Gives the row of an event, which was written just now, the references that it lacked.
    pub(super) async fn complete(
        &self,
        txn: &DatabaseTransaction,
        &Member { event, entity, .. }: &Member<'_>,
    ) -> Result<(), ApplyError> {
        let Said { key, values, .. } = entity.schema().said_by(event)?;
        Ok(upsert::update(txn, entity.schema(), values, &key).await?)
    }

    /// Runs the handlers of one event of a circle, each of whose rows is as its event says.
    pub(super) async fn finish_among(
        &self,
        txn: &DatabaseTransaction,
        &Member { message, event, .. }: &Member<'_>,
        written: Written,
    ) -> Result<(), ApplyError> {
        self.attempt_among(message, event).finish_in(txn, written).await
    }

    /// Within a circle each event is tried once.
    fn attempt_among<'a>(&'a self, message: &'a Message, event: &'a Envelope) -> Attempt<'a> {
        Trial::of(self, message, CIRCLE).attempt_on(event, 1)
    }
}
