//! Replay: a dead event is brought to its app once more, as a new message of the same event.

use sea_orm::{DatabaseConnection, DbErr, TransactionTrait};

use super::{Dlq, Letter, OperateError};
use crate::dialect::{self, Fault};
use crate::event::Envelope;
use crate::inbox::{self, Kept};
use crate::jetstream::{Denied, Outgoing, Permission, PublishError, StreamError};
use crate::message::{MESSAGE_ID, Message, REPLAY};
use crate::reason::Reason;
use crate::trace::HOPS;
use crate::upsert::{self, ApplyError, Overtaken};
use crate::{causes, payload, preflight, registry};

/// Replays the letters of a DLQ.
#[derive(Debug)]
pub struct Replayer<'a> {
    dlq: &'a Dlq<'a>,
    db: &'a DatabaseConnection,
    force: bool,
}

/// What became of a letter.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[must_use]
pub enum Replay {
    /// The event is on its way again, and the letter gone. `unchecked` says why it is not known whether it is of any use.
    Done {
        /// Why, if so.
        unchecked: Option<String>,
    },
    /// It was not replayed, for this reason, and the letter is still there.
    Skipped(String),
}

/// Why a letter could not be replayed. It is still there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// The letter does not come from what this app consumes.
    #[error("it came on `{found}`, but this app consumes `{expected}`")]
    ForeignSubject {
        /// Where the letter says that it came from.
        found: String,
        /// What the app consumes.
        expected: String,
    },
    /// The letter is a reference, and the body is gone.
    #[error("its body had no room in the letter, and is neither in the inbox nor in the stream any more")]
    BodyLost,
    /// The database failed.
    #[error(transparent)]
    Db(#[from] DbErr),
    /// The stream could not be read.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// This user may not publish for the other app.
    #[error(
        "NATS denies this user to {0}: the letter stays, and what the inbox has of the event is open, so that it is tried again \
         in ten minutes unless a replay brings it before; use a user that may, such as `admin`"
    )]
    Denied(Permission),
    /// The event was not taken; if no acknowledgement came, it may be replayed again at once.
    #[error(transparent)]
    Publish(PublishError),
    /// The event was replayed, but its letter could not be deleted.
    #[error("it was replayed, but its letter is still there: {0}")]
    NotDeleted(#[source] StreamError),
}

impl ReplayError {
    /// Whether it is this letter's own, so that another may be replayed all the same.
    pub fn is_letters_own(&self) -> bool {
        match self {
            Self::ForeignSubject { .. } | Self::BodyLost => true,
            Self::Publish(error) => error.is_permanent(),
            // Of the table that its row is in, perhaps.
            Self::Db(error) => dialect::fault(error) != Fault::Outage && !dialect::is_locked(error),
            Self::Stream(_) | Self::Denied(_) | Self::NotDeleted(_) => false,
        }
    }
}

impl From<PublishError> for ReplayError {
    fn from(error: PublishError) -> Self {
        match error {
            PublishError::Denied(Denied { permission, .. }) if matches!(permission, Permission::Publish(_)) => {
                Self::Denied(permission)
            }
            error => Self::Publish(error),
        }
    }
}

impl<'a> Dlq<'a> {
    /// A replayer for the app whose database `db` is; with `force` it also replays what seems pointless.
    ///
    /// # Errors
    ///
    /// [`OperateError`] when the database is another app's.
    pub async fn replayer(&'a self, db: &'a DatabaseConnection, force: bool) -> Result<Replayer<'a>, OperateError> {
        preflight::check_owner(db, &self.connection.config.app_name).await?;
        Ok(Replayer { dlq: self, db, force })
    }
}

impl Replayer<'_> {
    /// Replays one letter: opens the event in the inbox, publishes it, and deletes the letter once the server has it. After
    /// a crash between two of these steps the letter is still there, and the next replay ends what this one began.
    ///
    /// # Errors
    ///
    /// [`ReplayError`]; the letter is still there.
    pub async fn replay(&self, letter: &Letter) -> Result<Replay, ReplayError> {
        if letter.original_subject != self.dlq.incoming {
            let (found, expected) = (letter.original_subject.clone(), self.dlq.incoming.clone());
            return Err(ReplayError::ForeignSubject { found, expected });
        }
        let kept = inbox::find(self.db, letter.source_app(), &letter.event_id).await?;
        if kept.as_ref().is_some_and(|kept| kept.is_processed) {
            return Ok(Replay::Skipped("its event was processed or discarded meanwhile".to_owned()));
        }
        let message = self.original(letter, kept).await?;
        let refusal = message.admit().err();
        if let Some((reason, error)) = refusal.as_ref().filter(|_| !self.force) {
            return Ok(Replay::Skipped(format!("it would be refused again ({reason}): {error}")));
        }
        let unchecked = match self.overtaken(&message).await? {
            Ok(Some(overtaken)) if !self.force => return Ok(Replay::Skipped(pointless(&message, overtaken))),
            Ok(_) => None,
            Err(unchecked) => Some(unchecked),
        };
        if message.envelope.is_ok() {
            inbox::reopen(self.db, &message.source_app, &message.event_id).await?;
        }
        self.publish(letter, message, refusal.map(|(reason, _)| reason)).await?;
        self.dlq.delete(letter).await.map_err(ReplayError::NotDeleted)?;
        Ok(Replay::Done { unchecked })
    }

    /// The message that died. Where the letter had no room for its body, the inbox has it, or else the stream.
    async fn original(&self, letter: &Letter, kept: Option<Kept>) -> Result<Message, ReplayError> {
        if !letter.is_reference {
            return Ok(letter.original(letter.headers.clone(), letter.body.clone()));
        }
        if let Some(Kept { headers, body: Some(body), .. }) = kept {
            return Ok(letter.original(headers, body));
        }
        let transport = &self.dlq.connection.transport;
        let stored = transport.stored_at(&self.dlq.stream, letter.original_sequence).await?;
        let stored = stored.filter(|stored| stored.subject == letter.original_subject).ok_or(ReplayError::BodyLost)?;
        let original = letter.original(stored.headers, stored.body);
        // A stream that was made anew has something else there.
        if original.event_id == letter.event_id { Ok(original) } else { Err(ReplayError::BodyLost) }
    }

    /// The versions if the row here is newer than the event, or why that could not be found out.
    async fn overtaken(&self, message: &Message) -> Result<Result<Option<Overtaken>, String>, DbErr> {
        let Some(event) = message.envelope.as_ref().ok().filter(|event| event.is_of_row()) else {
            return Ok(Ok(None));
        };
        let Some(entity) = registry::all().entity(&event.resource_type) else {
            let resource = &event.resource_type;
            return Ok(Err(format!("this program does not know `{resource}`, so a newer row was not looked for")));
        };
        let txn = self.db.begin().await?;
        let found = upsert::overtaken(&txn, entity.schema(), event, &self.dlq.connection.config.app_name).await;
        txn.rollback().await?;
        match found {
            Ok(found) => Ok(Ok(found)),
            Err(ApplyError::Db(error)) => Err(error),
            Err(error) => Ok(Err(format!("a newer row could not be looked for: {}", causes::chain(&error)))),
        }
    }

    /// Under a message id that is the letter's own: a replay whose acknowledgement was lost is a duplicate, a replay of
    /// the letter that comes if the event dies again is none.
    async fn publish(&self, letter: &Letter, message: Message, refused: Option<Reason>) -> Result<(), PublishError> {
        let connection = self.dlq.connection;
        let mut headers = message.headers;
        headers.insert(MESSAGE_ID.to_owned(), format!("{REPLAY}{}-{}", connection.config.app_name, letter.sequence));
        if refused == Some(Reason::HopLimit) {
            headers.retain(|name, _| !name.eq_ignore_ascii_case(HOPS));
        }
        connection.transport.publish(Outgoing::raw(message.subject, headers, message.body)).await
    }
}

fn pointless(message: &Message, versions: Overtaken) -> String {
    let is_handled = |event: &Envelope| !registry::all().handlers(&event.resource_type, &event.event_type).is_empty();
    let handlers = if message.envelope.as_ref().is_ok_and(is_handled) { "; only its handlers would run" } else { "" };
    let [here, event] = [versions.here, versions.event].map(|version| payload::format_time(version.time()));
    format!("a newer version is here ({here}, the event's is {event}){handlers}")
}
