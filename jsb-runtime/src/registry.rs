//! What the derive and the handler macro registered: entities and handlers, found by the linker through `inventory`.

mod error;

use std::any::type_name;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::LazyLock;

pub use error::RegistryError;
use futures_util::future::BoxFuture;
use sea_orm::DatabaseTransaction;
use sea_orm::sea_query::ArrayType;
use serde_json::Value as Json;

use crate::dialect::ForeignKey;
use crate::event::{self, Envelope, event_type};
use crate::handler::{HandlerContext, HandlerResult, Incoming};
use crate::payload;
use crate::row::RowId;
use crate::schema::{Column, Schema};
use crate::syncable::{Keys, Syncable};
use crate::upsert::{self, ApplyError};

/// An entity that is kept in sync, as data, so that the consumer need not know its type.
#[derive(Debug)]
pub struct EntityRegistration {
    pub(crate) resource: &'static str,
    pub(crate) model: fn() -> &'static str,
    schema: &'static LazySchema,
    pub(crate) keep: for<'a> fn(&'a DatabaseTransaction, &'a Schema, &'a Envelope) -> Keep<'a>,
}

/// An entity's schema, made when it is first needed.
pub struct LazySchema(LazyLock<Schema>);

impl LazySchema {
    /// The schema of the entity whose model is `M`.
    pub const fn of<M: Syncable>() -> Self {
        Self(LazyLock::new(Schema::of::<M>))
    }
}

impl fmt::Debug for LazySchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LazySchema").finish_non_exhaustive()
    }
}

type Keep<'a> = BoxFuture<'a, Result<bool, ApplyError>>;

impl EntityRegistration {
    /// The registration of the entity whose model is `M`, and whose schema this is.
    pub const fn of<M: Syncable>(schema: &'static LazySchema) -> Self {
        Self {
            resource: M::RESOURCE,
            model: type_name::<M>,
            schema,
            keep: if M::HAS_OWN_HOOKS {
                |txn, schema, event| Box::pin(upsert::keep_by_hooks::<M>(txn, schema, event))
            } else {
                |txn, schema, event| Box::pin(upsert::keep(txn, schema, event))
            },
        }
    }

    pub(crate) fn schema(&self) -> &Schema {
        &self.schema.0
    }
}

/// A custom handler.
#[derive(Debug)]
pub struct HandlerRegistration {
    /// The resource whose events it gets.
    pub resource: &'static str,
    /// The event type that it gets.
    pub event: &'static str,
    /// The resource whose rows its type says that it takes, if it says so.
    pub entity: Option<&'static str>,
    /// Its path, for logs and errors.
    pub name: &'static str,
    /// Decodes the event and runs the handler.
    pub run: for<'a> fn(&'a Incoming, &'a HandlerContext<'a>) -> BoxFuture<'a, HandlerResult>,
}

impl HandlerRegistration {
    /// Of another resource's event it would get a row of nothing but defaults.
    fn check(&self) -> Result<(), RegistryError> {
        let Self { resource, event, entity, name, .. } = *self;
        match entity {
            Some(entity) if event_type::is_of_row(event) && entity != resource => {
                Err(RegistryError::Handler { handler: name, resource, event, entity })
            }
            _ => Ok(()),
        }
    }
}

inventory::collect!(EntityRegistration);
inventory::collect!(HandlerRegistration);

/// The entity that is called `resource` on the wire.
pub(crate) fn entity(resource: &str) -> Option<&'static EntityRegistration> {
    inventory::iter::<EntityRegistration>.into_iter().find(|entity| entity.resource == resource)
}

/// The resources of this binary's entities, by name.
pub(crate) fn resources() -> Vec<&'static str> {
    let mut resources: Vec<_> =
        inventory::iter::<EntityRegistration>.into_iter().map(|entity| entity.resource).collect();
    resources.sort_unstable();
    resources
}

/// The schema of the entity whose model is `M`, if it is registered.
pub(crate) fn schema_of<M: Syncable>() -> Option<&'static Schema> {
    let mut entities = inventory::iter::<EntityRegistration>.into_iter();
    entities.find(|entity| (entity.model)() == type_name::<M>()).map(EntityRegistration::schema)
}

/// The handlers of this binary that take such events, in their order.
pub(crate) fn handlers(resource: &str, event: &str) -> Vec<&'static HandlerRegistration> {
    let handlers = inventory::iter::<HandlerRegistration>.into_iter();
    let mut handlers: Vec<_> =
        handlers.filter(|handler| handler.resource == resource && handler.event == event).collect();
    handlers.sort_by_key(|handler| handler.name);
    handlers
}

/// Whether a column's values can travel: null can be read into every type that is known on the wire.
fn has_form(column: &Column) -> bool {
    !column.is_array && payload::from_json(&Json::Null, &column.of).is_some()
}

/// The column of the key that cannot be one, and why.
fn key_fault(schema: &Schema) -> Option<(&'static str, &'static str)> {
    let fault = |of: &ArrayType| match of {
        ArrayType::Decimal | ArrayType::Float | ArrayType::Double => Some(
            "a number with a fraction is written in more than one way, and both systems know a row by the text of its key: make it \
             an integer, a text or a UUID",
        ),
        ArrayType::BigUnsigned => {
            Some("SeaORM reads no `u64` from PostgreSQL or SQLite: make it an `i64`, an `i32` or a `u32`")
        }
        ArrayType::BigInt | ArrayType::Int | ArrayType::Unsigned => None,
        _ if schema.keys == Keys::Interleaved => Some(
            "interleaved keys are numbers, and leave gaps: make it an `i64`, an `i32` or a `u32`; or if it is the application that \
             draws it, write `#[sea_orm(primary_key, auto_increment = false)]` and no `keys`",
        ),
        _ => None,
    };
    let mut key = schema.key.iter().map(|place| &schema.columns[*place]);
    key.find_map(|column| Some((column.name, fault(&column.of)?)))
}

/// Every registration of this binary.
#[derive(Default)]
pub(crate) struct Registry {
    entities: BTreeMap<&'static str, &'static EntityRegistration>,
    /// How far tables are below those without parents.
    depths: BTreeMap<String, usize>,
    handlers: BTreeMap<&'static str, BTreeMap<&'static str, Vec<&'static HandlerRegistration>>>,
}

impl Registry {
    pub(crate) fn collect() -> Result<Self, RegistryError> {
        Self::of(inventory::iter::<EntityRegistration>, inventory::iter::<HandlerRegistration>)
    }

    fn of(
        registered_entities: impl IntoIterator<Item = &'static EntityRegistration>,
        registered_handlers: impl IntoIterator<Item = &'static HandlerRegistration>,
    ) -> Result<Self, RegistryError> {
        let mut entities = BTreeMap::new();
        for entity in registered_entities {
            if let Some(column) = entity.schema().columns.iter().find(|column| !has_form(column)) {
                return Err(RegistryError::Type { resource: entity.resource, column: column.name });
            }
            if let Some((column, fault)) = key_fault(entity.schema()) {
                return Err(RegistryError::Key { resource: entity.resource, column, fault });
            }
            let mut fields = BTreeSet::new();
            if let Some(column) = entity.schema().columns.iter().find(|column| !fields.insert(column.field)) {
                return Err(RegistryError::SameField { resource: entity.resource, field: column.field });
            }
            if let Some(first) = entities.insert(entity.resource, entity) {
                let (first, second) = ((first.model)(), (entity.model)());
                return Err(RegistryError::Duplicate { resource: entity.resource, first, second });
            }
        }
        let mut handlers = BTreeMap::<_, BTreeMap<_, Vec<_>>>::new();
        for handler in registered_handlers {
            handler.check()?;
            handlers.entry(handler.resource).or_default().entry(handler.event).or_default().push(handler);
        }
        if entities.is_empty() && handlers.is_empty() {
            return Err(RegistryError::Empty);
        }
        // The linker's order is not the source's; by name it is at least always the same.
        let by_event = handlers.values_mut().flat_map(BTreeMap::values_mut);
        by_event.for_each(|handlers| handlers.sort_by_key(|handler| handler.name));
        Ok(Self { entities, depths: BTreeMap::new(), handlers })
    }

    /// Learns which tables refer to which, so that parents are written before their children. Tables that refer to one
    /// another in a circle have no such order; then their events are applied one by one where that matters.
    pub(crate) fn parents_first(&mut self, foreign_keys: &[ForeignKey]) {
        // No chain of parents is longer than there are tables.
        for _ in 0..self.entities.len() {
            for key in foreign_keys.iter().filter(|key| key.child != key.parent) {
                let depth = self.depth(&key.parent) + 1;
                let child = self.depths.entry(key.child.clone()).or_default();
                *child = depth.max(*child);
            }
        }
    }

    fn depth(&self, table: &str) -> usize {
        self.depths.get(table).copied().unwrap_or(0)
    }

    /// Where an entity stands among its parents and children.
    pub(crate) fn rank(&self, entity: &EntityRegistration) -> (usize, &'static str) {
        (self.depth(entity.schema().table), entity.resource)
    }

    pub(crate) fn entity(&self, resource: &str) -> Option<&'static EntityRegistration> {
        self.entities.get(resource).copied()
    }

    /// A row as the inbox names what is waited for, `resource/id`; `None` where its table is not synced.
    pub(crate) fn name_of(&self, row: &RowId) -> Option<String> {
        let entity = self.entities().find(|entity| entity.schema().table == row.table)?;
        Some(event::row_name(entity.resource, &row.id))
    }

    pub(crate) fn entities(&self) -> impl Iterator<Item = &'static EntityRegistration> + '_ {
        self.entities.values().copied()
    }

    pub(crate) fn handlers(&self, resource: &str, event: &str) -> &[&'static HandlerRegistration] {
        self.handlers.get(resource).and_then(|by_event| by_event.get(event)).map_or(&[], Vec::as_slice)
    }

    /// The resources and handlers, for the log at start.
    pub(crate) fn names(&self) -> String {
        let handlers = self.handlers.values().flat_map(BTreeMap::values).flatten();
        let handlers = handlers.map(|handler| format!("{} for {}.{}", handler.name, handler.resource, handler.event));
        self.entities.keys().map(|resource| (*resource).to_owned()).chain(handlers).collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests;
