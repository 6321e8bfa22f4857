//! What is declared wrongly: refused at the start.

/// Why the registrations cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// Nothing is registered.
    #[error(
        "no entity and no handler is registered: derive `Syncable` on an entity, and if they live in a crate that the \
         binary never names, add `use that_crate as _;`, since the linker drops crates that nothing refers to"
    )]
    Empty,
    /// Two columns of an entity claim one name on the wire.
    #[error("two columns of resource `{resource}` travel as `{field}`: rename one of them")]
    SameField {
        /// The resource.
        resource: &'static str,
        /// The name.
        field: &'static str,
    },
    /// A column that travels has a type without a form on the wire.
    #[error(
        "column `{column}` of resource `{resource}` is of a type that cannot be synced, as are arrays, big decimals and \
         network addresses: give it `#[syncable(skip)]`, or keep its value as a text, and an array's members in a table of \
         their own or in a JSON column, there wrapped in a struct of your own, such as \
         `#[derive(FromJsonQueryResult)] struct Items(Vec<Item>)`, since SeaORM takes a bare `Vec` for an array"
    )]
    Type {
        /// The resource.
        resource: &'static str,
        /// The column.
        column: &'static str,
    },
    /// A key is of a type by which both sides could not know rows, or not draw numbers of their own. The derive sees a type's name
    /// alone, which may be another one's.
    #[error("key column `{column}` of resource `{resource}`: {fault}")]
    Key {
        /// The resource.
        resource: &'static str,
        /// The column.
        column: &'static str,
        /// Why, and what to do.
        fault: &'static str,
    },
    /// Two entities claim one name on the wire.
    #[error("resource `{resource}` is registered twice, by {first} and {second}")]
    Duplicate {
        /// The name.
        resource: &'static str,
        /// The model of one.
        first: &'static str,
        /// The model of the other.
        second: &'static str,
    },
    /// A handler takes the rows of another resource than that whose events it gets.
    #[error(
        "handler {handler} gets the `{event}` events of `{resource}` and takes rows of `{entity}`: name the one whose rows it \
         takes, or take `Event<serde_json::Value>` or `Event<AsJson<T>>`"
    )]
    Handler {
        /// The handler's path.
        handler: &'static str,
        /// The resource whose events it gets.
        resource: &'static str,
        /// Their type.
        event: &'static str,
        /// The resource whose rows it takes.
        entity: &'static str,
    },
}
