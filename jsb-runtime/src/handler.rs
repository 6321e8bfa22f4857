//! Custom handlers: what they get, and what they answer.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use sea_orm::{ActiveModelTrait, DatabaseTransaction, TryIntoModel};
use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use crate::event::{Envelope, Event};
use crate::payload::PayloadError;
use crate::registry;
use crate::schema::Schema;
use crate::syncable::{ActiveModelOf, Syncable};

/// What a handler answers.
pub type HandlerResult = Result<(), HandlerError>;

/// A handler's failure. Any error becomes one by `?` and is tried again, five attempts in all by default; one that no retry heals
/// is made by [`HandlerError::permanent`] and goes to the DLQ at once.
///
/// ```
/// use jsb_runtime::{HandlerError, HandlerResult};
///
/// fn positive(amount: &str) -> HandlerResult {
///     let amount: i64 = amount.parse().map_err(HandlerError::permanent)?;
///     if amount > 0 { Ok(()) } else { Err("not yet positive".into()) }
/// }
/// assert!(positive("x").is_err_and(|error| error.is_permanent()));
/// ```
#[derive(Debug)]
pub struct HandlerError {
    source: Box<dyn Error + Send + Sync>,
    permanent: bool,
}

impl HandlerError {
    /// A failure that no retry heals.
    pub fn permanent(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { source: error.into(), permanent: true }
    }

    /// Whether the event goes to the DLQ at once.
    pub fn is_permanent(&self) -> bool {
        self.permanent
    }

    /// What the handler failed with.
    pub fn error(&self) -> &(dyn Error + Send + Sync + 'static) {
        &*self.source
    }
}

impl fmt::Display for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.fmt(f)
    }
}

impl<E: Into<Box<dyn Error + Send + Sync>>> From<E> for HandlerError {
    fn from(error: E) -> Self {
        Self { source: error.into(), permanent: false }
    }
}

/// Where a handler runs.
#[derive(Debug)]
pub struct HandlerContext<'a> {
    db: &'a DatabaseTransaction,
    attempt: u32,
}

impl<'a> HandlerContext<'a> {
    pub(crate) fn new(db: &'a DatabaseTransaction, attempt: u32) -> Self {
        Self { db, attempt }
    }

    /// The transaction of the inbox row: what is written here happens once, or not at all. On PostgreSQL an error ends it,
    /// so what may fail needs a transaction of its own within, `ctx.db().begin()`.
    pub fn db(&self) -> &'a DatabaseTransaction {
        self.db
    }

    /// Which attempt this is, from 1.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }
}

/// An event on its way to the handlers.
#[derive(Clone, Debug)]
pub struct Incoming {
    pub(crate) envelope: Arc<Envelope>,
    pub(crate) stale: bool,
}

/// A payload that handlers can ask for: a synced entity's `Model`, [`serde_json::Value`] for the raw payload, or
/// [`AsJson`] of any type that serde reads.
#[diagnostic::on_unimplemented(
    message = "a handler cannot take `Event<{Self}>`",
    note = "take `Event<entity::Model>` of a synced entity, `Event<serde_json::Value>`, or `Event<AsJson<T>>` with a `T` that serde reads"
)]
pub trait Payload: Sized {
    /// The resource whose rows these are, where the type tells; `start` refuses a handler that would get those of another one.
    const ENTITY: Option<&'static str> = None;

    /// Reads the payload of an event.
    ///
    /// # Errors
    ///
    /// When the payload has another form; the event then goes to the DLQ.
    fn read(envelope: &Envelope) -> Result<Self, PayloadError>;
}

impl<M: Syncable> Payload for M {
    const ENTITY: Option<&'static str> = Some(<M as Syncable>::RESOURCE);

    fn read(envelope: &Envelope) -> Result<Self, PayloadError> {
        model_in(envelope)
    }
}

/// A model out of an event: skipped columns, and those that the event does not carry, hold their type's default.
fn model_in<M: Syncable>(event: &Envelope) -> Result<M, PayloadError> {
    let values = match registry::all().schema_of::<M>() {
        Some(schema) => schema.values_of(event),
        None => Schema::of::<M>().values_of(event),
    };
    let mut row = <ActiveModelOf<M> as ActiveModelTrait>::default_values();
    for (field, value) in M::FIELDS.iter().zip(values?) {
        if let Some(value) = value {
            row.set(field.column, value);
        }
    }
    row.try_into_model().map_err(|error| PayloadError::Unfit(error.to_string()))
}

impl Payload for Json {
    fn read(envelope: &Envelope) -> Result<Self, PayloadError> {
        Ok(envelope.payload.clone())
    }
}

/// A payload that serde reads, for events that are no entity's.
#[derive(Clone, Debug)]
pub struct AsJson<T>(pub T);

impl<T: DeserializeOwned> Payload for AsJson<T> {
    fn read(envelope: &Envelope) -> Result<Self, PayloadError> {
        T::deserialize(&envelope.payload).map(Self).map_err(|error| PayloadError::Unfit(error.to_string()))
    }
}

impl<P: Payload> Event<P> {
    /// What its payload says of itself, where a handler is registered by the type of its event.
    #[doc(hidden)]
    pub const ENTITY: Option<&'static str> = <P as Payload>::ENTITY;
}

/// What is said by any other type in the place of an event's. The call of the handler is where the compiler refuses it, once.
#[doc(hidden)]
pub trait NoEvent {
    /// Nothing.
    const ENTITY: Option<&'static str> = None;
}

impl<T: ?Sized> NoEvent for T {}

/// Reads an event for a handler; the payload's type is the one in the handler's signature.
pub fn decode<P: Payload>(incoming: &Incoming) -> Result<Event<P>, HandlerError> {
    let payload = P::read(&incoming.envelope).map_err(HandlerError::permanent)?;
    Ok(Event::new(Arc::clone(&incoming.envelope), payload, incoming.stale))
}
