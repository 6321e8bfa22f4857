//! A synced entity's table as the consuming side sees it: names, types and rules as data. So nothing of that side is
//! compiled anew for every entity of an application.

mod event;
mod statements;
mod types;

pub(crate) use event::Said;
use sea_orm::sea_query::{ArrayType, IntoTableRef, TableRef, Value};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ColumnType, EntityName, EntityTrait, IdenStatic, Identity, Iterable,
    PrimaryKeyToColumn, RelationDef, RelationTrait,
};
use types::Types;

use crate::syncable::{ActiveModelOf, ColumnOf, Keys, OnDelete, Syncable};

/// An entity's table, its columns that travel, and what they refer to.
pub(crate) struct Schema {
    pub(crate) resource: &'static str,
    pub(crate) keys: Keys,
    pub(crate) on_delete: OnDelete,
    pub(crate) table: &'static str,
    pub(crate) table_ref: TableRef,
    /// Whether the entity names a database schema of its own, and not what the connection's `search_path` finds.
    pub(crate) is_elsewhere: bool,
    pub(crate) columns: Vec<Column>,
    /// Where the primary key's columns stand among the columns, in the key's order.
    pub(crate) key: Vec<usize>,
    /// Where the version's column stands.
    pub(crate) version: usize,
    pub(crate) parents: Vec<Reference>,
    pub(crate) types: Types,
}

/// A column that travels.
pub(crate) struct Column {
    pub(crate) name: &'static str,
    /// Its name in the payload.
    pub(crate) field: &'static str,
    pub(crate) of: ArrayType,
    pub(crate) is_nullable: bool,
    pub(crate) is_array: bool,
}

/// A foreign key of the table's, by the names of columns here and there.
pub(crate) struct Reference {
    pub(crate) parent: TableRef,
    pub(crate) from: Vec<String>,
    pub(crate) to: Vec<String>,
}

/// The values of a row by the places of their columns; `None` where an event does not carry one.
pub(crate) type Values = Vec<Option<Value>>;

impl Schema {
    pub(crate) fn of<M: Syncable>() -> Self {
        let entity = M::Entity::default();
        let table = entity.table_name();
        let mut columns = Vec::new();
        for field in M::FIELDS {
            columns.push(Column {
                name: field.column.as_str(),
                field: field.name(),
                of: M::get_value_type(field.column),
                is_nullable: field.column.def().is_null(),
                is_array: is_array(field.column) || takes_array::<M>(field.column),
            });
        }
        // The derive lets neither a part of the key nor the version stay at home.
        let mut key = Vec::new();
        for column in <M::Entity as EntityTrait>::PrimaryKey::iter() {
            key.push(place(&columns, column.into_column().as_str()).unwrap_or_default());
        }
        let mut parents = Vec::new();
        for relation in <M::Entity as EntityTrait>::Relation::iter() {
            parents.extend(Reference::of(relation.def()));
        }
        Self {
            resource: M::RESOURCE,
            keys: M::KEYS,
            on_delete: M::ON_DELETE,
            table,
            table_ref: table_ref(entity.schema_name(), table),
            is_elsewhere: entity.schema_name().is_some(),
            version: place(&columns, M::VERSION.as_str()).unwrap_or_default(),
            columns,
            key,
            parents,
            types: Types::of::<M>(),
        }
    }
}

/// Whether a column holds an array, of which SeaORM says the type of its members where it is asked for a value's.
pub(crate) fn is_array(column: impl ColumnTrait) -> bool {
    matches!(column.def().get_column_type(), ColumnType::Array(_))
}

/// Whether a column's Rust type is an array to SeaORM, as a bare `Vec` of structs is even where the column holds JSON.
fn takes_array<M: Syncable>(column: ColumnOf<M>) -> bool {
    let empty = Value::Array(M::get_value_type(column), Some(Box::default()));
    <ActiveModelOf<M> as ActiveModelTrait>::default().try_set(column, empty).is_ok()
}

fn place(columns: &[Column], name: &str) -> Option<usize> {
    columns.iter().position(|column| column.name == name)
}

fn table_ref(schema: Option<&str>, table: &'static str) -> TableRef {
    match schema {
        Some(schema) => (schema.to_owned(), table).into_table_ref(),
        None => table.into_table_ref(),
    }
}

impl Reference {
    /// `None` where it is the other table that refers to this one.
    fn of(relation: RelationDef) -> Option<Self> {
        let names = |columns: &Identity| columns.iter().map(ToString::to_string).collect();
        let (from, to) = (names(&relation.from_col), names(&relation.to_col));
        (!relation.is_owner).then(|| Self { parent: relation.to_tbl, from, to })
    }
}
