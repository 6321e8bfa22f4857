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

    fn check(&self) -> Result<(), RegistryError> {
        let (resource, columns) = (self.resource, &self.schema().columns);
        if let Some(column) = columns.iter().find(|column| !has_form(column)) {
            return Err(RegistryError::Type { resource, column: column.name });
        }
        if let Some((column, fault)) = key_fault(self.schema()) {
            return Err(RegistryError::Key { resource, column, fault });
        }
        let mut fields = BTreeSet::new();
        match columns.iter().find(|column| !fields.insert(column.field)) {
            Some(column) => Err(RegistryError::SameField { resource, field: column.field }),
            None => Ok(()),
        }
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

/// What this binary has registered, as a save and an application that consumes by itself find it: they need no bridge.
pub(crate) fn all() -> &'static Registry {
    static ALL: LazyLock<Registry> = LazyLock::new(Registry::index);
    &ALL
}

/// Refuses two entities of one name, columns and keys that cannot travel, a handler of other rows than its own, and a binary without
/// any of them.
fn check(
    entities: impl IntoIterator<Item = &'static EntityRegistration>,
    handlers: impl IntoIterator<Item = &'static HandlerRegistration>,
) -> Result<(), RegistryError> {
    let mut models = BTreeMap::new();
    for entity in entities {
        entity.check()?;
        if let Some(first) = models.insert(entity.resource, entity.model) {
            let (first, second) = (first(), (entity.model)());
            return Err(RegistryError::Duplicate { resource: entity.resource, first, second });
        }
    }
    let mut handlers = handlers.into_iter().peekable();
    if models.is_empty() && handlers.peek().is_none() {
        return Err(RegistryError::Empty);
    }
    handlers.try_for_each(HandlerRegistration::check)
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
        check(inventory::iter::<EntityRegistration>, inventory::iter::<HandlerRegistration>)?;
        Ok(Self::index())
    }

    fn index() -> Self {
        let entities = inventory::iter::<EntityRegistration>.into_iter();
        let entities = entities.map(|entity| (entity.resource, entity)).collect();
        let mut handlers = BTreeMap::<_, BTreeMap<_, Vec<_>>>::new();
        for handler in inventory::iter::<HandlerRegistration> {
            handlers.entry(handler.resource).or_default().entry(handler.event).or_default().push(handler);
        }
        // The linker's order is not the source's; by name it is at least always the same.
        let by_event = handlers.values_mut().flat_map(BTreeMap::values_mut);
        by_event.for_each(|handlers| handlers.sort_by_key(|handler| handler.name));
        Self { entities, depths: BTreeMap::new(), handlers }
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

    /// The entity that is called `resource` on the wire.
    pub(crate) fn entity(&self, resource: &str) -> Option<&'static EntityRegistration> {
        self.entities.get(resource).copied()
    }

    /// The schema of the entity whose model is `M`, if it is registered.
    pub(crate) fn schema_of<M: Syncable>(&self) -> Option<&'static Schema> {
        let entity = self.entity(M::RESOURCE).filter(|entity| (entity.model)() == type_name::<M>())?;
        Some(entity.schema())
    }

    /// A row as the inbox names what is waited for, `resource/id`; `None` where its table is not synced.
    pub(crate) fn name_of(&self, row: &RowId) -> Option<String> {
        let entity = self.entities().find(|entity| entity.schema().table == row.table)?;
        Some(event::row_name(entity.resource, &row.id))
    }

    /// By their names.
    pub(crate) fn entities(&self) -> impl Iterator<Item = &'static EntityRegistration> + '_ {
        self.entities.values().copied()
    }

    /// Those that take such events, in their order.
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
