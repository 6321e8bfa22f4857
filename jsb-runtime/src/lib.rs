//! Keeps the rows of two applications' databases in sync over NATS JetStream.
//!
//! A SeaORM entity gets `#[derive(Syncable)]`; from then on every committed save travels
//!
//! ```text
//! save -> outbox row -> relay -> JetStream -> consumer -> inbox row -> row on the other side
//! ```
//!
//! and arrives there once, without echo, whatever crashes on the way. The README begins with an example; this page
//! lists what there is: [`Syncable`] and [`handler`] to declare, [`start`] and [`Config`] to run, [`skip_publish`],
//! [`publish`], [`sync_from_event`] and [`handle_event`] for what is not an ordinary save, and [`hooks`] for entities with
//! hooks of their own.

#![warn(missing_debug_implementations)]

// What all speak of.
mod backoff;
mod causes;
mod clock;
mod config;
mod event;
mod locked;
mod message;
mod names;
mod payload;
mod problems;
mod reason;
mod subject;
mod trace;
pub mod version;

// The database, whichever it is.
mod ask;
mod dialect;

// What is declared: entities and handlers.
mod handler;
mod registry;
mod row;
mod schema;
mod syncable;

// The producing side, from the save to the outbox and on to JetStream.
mod capture;
mod direct;
pub mod hooks;
mod keys;
mod lease;
mod outbox;
mod relay;
mod save;
mod settings;

// JetStream.
mod jetstream;
pub mod permissions;
pub mod topology;

// The consuming side, from JetStream to the row.
mod apply;
mod batch;
mod consumer;
mod dlq;
mod inbox;
mod outcome;
mod processor;
mod tombstone;
mod upsert;

// What puts them together, and runs them on a database.
mod bridge;
mod preflight;
mod retention;
mod status;
mod supervise;

// For operators.
pub mod operate;

#[doc(hidden)]
#[cfg(any(test, fuzzing))]
pub mod invariants;

pub use apply::{handle_event, sync_from_event};
pub use bridge::{Bridge, ShutdownError, start};
pub use capture::publish;
pub use config::{Config, ConfigError, Node, Role};
pub use event::{Envelope, EnvelopeError, Event, NewEvent, SCHEMA_VERSION, event_type};
pub use handler::{AsJson, HandlerContext, HandlerError, HandlerResult, Payload};
pub use jetstream::{ConnectError, Denied, Permission, ProvisionError, PublishError, StreamError};
pub use jsb_derive::{Syncable, handler};
pub use names::UnknownName;
pub use payload::PayloadError;
pub use preflight::StartError;
pub use registry::RegistryError;
pub use save::skip::skip_publish;
pub use save::{SaveConnection, Saving};
pub use status::{Health, Status, Tables};
pub use syncable::{ActiveModelOf, ColumnOf, Field, Keys, OnDelete, Syncable, VersionType};
pub use upsert::{ApplyError, Effect};

/// What an entity file or a handler file needs.
pub mod prelude {
    pub use crate::{Event, HandlerContext, HandlerError, HandlerResult, Syncable, handler};
    pub use async_trait;
}

/// For tests of convergence: work under a wrong clock, and the decisions that the model of the protocol is made of.
#[doc(hidden)]
pub mod testing {
    pub use crate::clock::skewed;
    pub use crate::dialect::Fault;
    pub use crate::outcome::{Patience, Verdict, patience, refused};
    pub use crate::processor::circle::{Circle, Link, follow};
    pub use crate::reason::Reason;
    pub use crate::upsert::{Change, Found, decide, is_kept};
}

/// What generated code calls. Not for use by hand: it changes without notice.
#[doc(hidden)]
pub mod __private {
    pub use crate::handler::{Incoming, NoEvent, decode};
    pub use crate::registry::{EntityRegistration, HandlerRegistration, LazySchema};
    pub use crate::save::{delete, delete_model, insert, save, update, update_without_returning};
    pub use crate::syncable::{Field, Keys, OnDelete};
    pub use crate::{HandlerContext, HandlerResult, SaveConnection, Saving};
    pub use inventory;
    pub use sea_orm::prelude::DateTimeUtc;
    pub use sea_orm::{ActiveModelBehavior, ConnectionTrait, DeleteResult, UpdateResult};
    pub use std::boxed::Box;

    pub use crate::{__register as register, __register_handler as register_handler};
}

#[doc(hidden)]
#[macro_export]
macro_rules! __register {
    ($model:ty) => {
        static SCHEMA: $crate::__private::LazySchema = $crate::__private::LazySchema::of::<$model>();
        $crate::__private::inventory::submit! { $crate::__private::EntityRegistration::of::<$model>(&SCHEMA) }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __register_handler {
    (resource: $resource:expr, event: $event:expr, takes: $takes:ty, name: $name:expr, run: $run:expr $(,)?) => {
        $crate::__private::inventory::submit! {
            $crate::__private::HandlerRegistration {
                resource: $resource,
                event: $event,
                entity: {
                    #[allow(unused_imports)]
                    use $crate::__private::NoEvent as _;
                    <$takes>::ENTITY
                },
                name: $name,
                run: $run,
            }
        }
    };
}
