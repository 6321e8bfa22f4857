//! The DLQ of an app: its letters read one by one, and deleted one by one, so that no other message can go with them.

use std::collections::BTreeSet;
use std::num::NonZeroU64;

use futures_util::{Stream, TryStreamExt, stream};
use sea_orm::{DatabaseConnection, DbErr};

use super::{Connection, Letter};
use crate::jetstream::StreamError;
use crate::{inbox, subject};

/// The letters that are in a DLQ when it is opened. Those that come later are left to the next time, so that a replay of
/// all of them ends even if each of them dies again.
#[derive(Debug)]
pub struct Dlq<'a> {
    pub(super) connection: &'a Connection,
    pub(super) stream: String,
    /// What the app consumes.
    pub(super) incoming: String,
    subject: String,
    last: u64,
}

/// What was found of what was asked for.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
#[must_use]
pub struct FoundLetters {
    /// The letters, oldest first.
    pub letters: Vec<Letter>,
    /// What names no letter.
    pub missing: Vec<String>,
}

impl Connection {
    /// Opens the DLQ of the app that the connection was configured for.
    ///
    /// # Errors
    ///
    /// [`StreamError`] when the stream cannot be read.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// use futures_util::TryStreamExt;
    /// use jsb_runtime::{Config, operate::Connection};
    ///
    /// let connection = Connection::open(Config::from_env()?).await?;
    /// let dlq = connection.dlq().await?;
    /// let mut letters = std::pin::pin!(dlq.letters(0));
    /// while let Some(letter) = letters.try_next().await? {
    ///     println!("{} {}: {}", letter.sequence, letter.reason, letter.error);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn dlq(&self) -> Result<Dlq<'_>, StreamError> {
        let (subject, incoming) = (subject::dlq(&self.config.app_name), self.config.incoming());
        let stream = self.transport.find_stream(&subject).await?;
        let last = self.transport.last_stored(&stream, &subject).await?.map_or(0, |letter| letter.sequence);
        Ok(Dlq { connection: self, stream, subject, incoming, last })
    }
}

impl Dlq<'_> {
    /// The letters after a sequence, oldest first; 0 gives all. Each is read when it is asked for.
    ///
    /// # Errors
    ///
    /// An item is a [`StreamError`] where the stream cannot be read; there is none after it.
    pub fn letters(&self, after: u64) -> impl Stream<Item = Result<Letter, StreamError>> + '_ {
        stream::try_unfold(after, move |after| async move {
            let letter = self.next(after).await?;
            Ok(letter.map(|letter| {
                let sequence = letter.sequence;
                (letter, sequence)
            }))
        })
    }

    /// As [`letters`](Self::letters), by the batch: as many as fit in memory.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn batches(&self, after: u64) -> impl Stream<Item = Result<Vec<Letter>, StreamError>> + '_ {
        stream::try_unfold(after, move |after| async move {
            let batch = self.batch(after).await?;
            let last = batch.last().map(|letter| letter.sequence);
            Ok(last.map(|last| (batch, last)))
        })
    }

    async fn batch(&self, after: u64) -> Result<Vec<Letter>, StreamError> {
        let (transport, from) = (&self.connection.transport, after.saturating_add(1));
        let stored = transport.stored_within(&self.stream, &self.subject, from, self.last).await?;
        Ok(stored.into_iter().map(|stored| Letter::read(stored, &self.incoming)).collect())
    }

    async fn next(&self, after: u64) -> Result<Option<Letter>, StreamError> {
        if after >= self.last {
            return Ok(None);
        }
        let stored = self.connection.transport.stored_from(&self.stream, &self.subject, after + 1).await?;
        let stored = stored.filter(|stored| stored.sequence <= self.last);
        Ok(stored.map(|stored| Letter::read(stored, &self.incoming)))
    }

    /// How many letters there are, those that came since it was opened among them.
    ///
    /// # Errors
    ///
    /// [`StreamError`] when the stream cannot be read.
    pub async fn count(&self) -> Result<u64, StreamError> {
        self.connection.dead_letters(&self.connection.config.app_name).await
    }

    /// The letter at this sequence; `None` if there is no message, or another one.
    ///
    /// # Errors
    ///
    /// [`StreamError`] when the stream cannot be read.
    pub async fn letter(&self, sequence: u64) -> Result<Option<Letter>, StreamError> {
        let stored = self.connection.transport.stored_at(&self.stream, sequence).await?;
        let stored = stored.filter(|stored| stored.subject == self.subject);
        Ok(stored.map(|stored| Letter::read(stored, &self.incoming)))
    }

    /// The letters that are named by their sequence, or else by the id of their event; an event may have several.
    ///
    /// # Errors
    ///
    /// [`StreamError`] when the stream cannot be read.
    pub async fn find(&self, names: &[String]) -> Result<FoundLetters, StreamError> {
        let mut letters = Vec::new();
        let mut event_ids = BTreeSet::new();
        for name in names {
            // The server has no message 0, and refuses to look for one.
            let by_sequence = match name.parse::<NonZeroU64>() {
                Ok(sequence) => self.letter(sequence.get()).await?,
                Err(_) => None,
            };
            match by_sequence {
                Some(letter) => letters.push(letter),
                None => _ = event_ids.insert(name.as_str()),
            }
        }
        let mut missing = event_ids.clone();
        if !event_ids.is_empty() {
            let mut all = std::pin::pin!(self.letters(0));
            while let Some(letter) = all.try_next().await? {
                if event_ids.contains(letter.event_id.as_str()) {
                    missing.remove(letter.event_id.as_str());
                    letters.push(letter);
                }
            }
        }
        letters.sort_by_key(|letter| letter.sequence);
        letters.dedup_by_key(|letter| letter.sequence);
        Ok(FoundLetters { letters, missing: missing.into_iter().map(str::to_owned).collect() })
    }

    /// Deletes a letter; `false` if it was gone already.
    ///
    /// # Errors
    ///
    /// [`StreamError`] when the server refuses.
    pub async fn delete(&self, letter: &Letter) -> Result<bool, StreamError> {
        self.connection.transport.delete_stored(&self.stream, letter.sequence).await
    }

    /// The ids among these letters' whose event was processed here meanwhile.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn settled(&self, db: &DatabaseConnection, letters: &[Letter]) -> Result<BTreeSet<String>, DbErr> {
        let ids: Vec<&str> = letters.iter().map(|letter| letter.event_id.as_str()).collect();
        inbox::among(db, subject::source(&self.incoming), &ids, &[inbox::Status::Processed]).await
    }
}
