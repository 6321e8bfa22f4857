//! A synced entity's table as the consuming side sees it: names, types and rules as data. So nothing of that side is
//! compiled anew for every entity of an application.

mod event;

use sea_orm::sea_query::{
    ArrayType, DeleteStatement, Expr, ExprTrait, InsertStatement, IntoValueTuple, Query, SelectStatement, TableRef,
    UpdateStatement, Value,
};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, Condition, DbErr, EntityName, EntityTrait, IdenStatic, Iterable, ModelTrait,
    PrimaryKeyTrait, QueryResult, QueryTrait, RelationTrait, TryGetableMany,
};
use serde_json::Value as Json;

use crate::row;
use crate::syncable::{ActiveModelOf, ColumnOf, Field, OnDelete, Syncable, VersionType};
use crate::version::Version;

/// An entity's table, its columns that travel, and what they refer to.
pub(crate) struct Schema {
    pub(crate) resource: &'static str,
    pub(crate) on_delete: OnDelete,
    pub(crate) table: &'static str,
    pub(crate) table_ref: TableRef,
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
}

/// A foreign key of the table's, by the names of columns here and there.
pub(crate) struct Reference {
    pub(crate) parent: TableRef,
    pub(crate) from: Vec<String>,
    pub(crate) to: Vec<String>,
}

/// The values of a row by the places of their columns; `None` where an event does not carry one.
pub(crate) type Values = Vec<Option<Value>>;

/// The column whose value is none of its type, and why not.
type Misfit = (usize, DbErr);

/// What the entity's own Rust types have to do, a column being known by its place.
pub(crate) struct Types {
    /// Gives every value the form of its column; or says which one cannot have it.
    conform: fn(&mut [Option<Value>]) -> Result<(), Misfit>,
    pub(crate) save_as: fn(usize, Expr) -> Expr,
    pub(crate) save_array_as: fn(usize, Expr) -> Expr,
    pub(crate) select_as: fn(usize, Expr) -> Expr,
    /// Selects whole rows.
    pub(crate) select: fn() -> SelectStatement,
    /// The payload of a row that was selected so.
    pub(crate) payload_of: fn(&QueryResult) -> Result<Json, DbErr>,
    pub(crate) key_of: fn(&QueryResult) -> Result<Vec<Value>, DbErr>,
    pub(crate) version_of: fn(&QueryResult) -> Result<Version, DbErr>,
    version_value: fn(Version) -> Value,
}

impl Types {
    fn of<M: Syncable>() -> Self {
        Self {
            conform: conform::<M>,
            save_as: |place, value| M::FIELDS[place].column.save_as(value),
            save_array_as: |place, values| M::FIELDS[place].column.save_array_as(values),
            select_as: |place, column| M::FIELDS[place].column.select_as(column),
            select: || M::Entity::find().into_query(),
            payload_of: payload_of::<M>,
            key_of: key_of::<M>,
            version_of: |row| row.try_get::<M::Version>("", M::VERSION.as_str()).map(VersionType::into_version),
            version_value: |version| M::Version::from_version(version).into(),
        }
    }
}

fn conform<M: Syncable>(values: &mut [Option<Value>]) -> Result<(), Misfit> {
    let mut row = <ActiveModelOf<M> as ActiveModelTrait>::default();
    for (place, (field, value)) in M::FIELDS.iter().zip(values).enumerate() {
        if let Some(given) = value.take() {
            row.try_set(field.column, given).map_err(|error| (place, error))?;
            *value = row.get(field.column).into_value();
        }
    }
    Ok(())
}

fn payload_of<M: Syncable>(row: &QueryResult) -> Result<Json, DbErr> {
    let row = M::from_query_result(row, "")?.into_active_model();
    row::payload_of::<M>(&row).map_err(|error| DbErr::Custom(error.to_string()))
}

fn key_of<M: Syncable>(row: &QueryResult) -> Result<Vec<Value>, DbErr> {
    type KeyOf<M> = <<<M as ModelTrait>::Entity as EntityTrait>::PrimaryKey as PrimaryKeyTrait>::ValueType;
    let names: Vec<String> = row::key_columns::<M>().map(|column| column.as_str().to_owned()).collect();
    Ok(KeyOf::<M>::try_get_many(row, "", &names)?.into_value_tuple().into_iter().collect())
}

impl Schema {
    pub(crate) fn of<M: Syncable>() -> Self {
        let column = |field: &Field<ColumnOf<M>>| Column {
            name: field.column.as_str(),
            field: field.name(),
            of: M::get_value_type(field.column),
            is_nullable: field.column.def().is_null(),
        };
        let columns: Vec<Column> = M::FIELDS.iter().map(column).collect();
        // The derive lets neither a part of the key nor the version stay at home.
        let place = |name: &str| columns.iter().position(|column| column.name == name).unwrap_or_default();
        let key = row::key_columns::<M>().map(|column| place(column.as_str())).collect();
        let version = place(M::VERSION.as_str());
        let relations = <M::Entity as EntityTrait>::Relation::iter().map(|relation| relation.def());
        let reference = |relation: sea_orm::RelationDef| Reference {
            parent: relation.to_tbl,
            from: relation.from_col.iter().map(ToString::to_string).collect(),
            to: relation.to_col.iter().map(ToString::to_string).collect(),
        };
        let entity = M::Entity::default();
        Self {
            resource: M::RESOURCE,
            on_delete: M::ON_DELETE,
            table: entity.table_name(),
            table_ref: entity.table_ref(),
            key,
            version,
            parents: relations.filter(|relation| !relation.is_owner).map(reference).collect(),
            types: Types::of::<M>(),
            columns,
        }
    }

    pub(crate) fn column_named(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }

    pub(crate) fn is_key(&self, place: usize) -> bool {
        self.key.contains(&place)
    }

    /// The column in a statement on its table.
    pub(crate) fn column(&self, place: usize) -> Expr {
        Expr::col((self.table, self.columns[place].name))
    }

    /// A value that is bound for this column.
    pub(crate) fn bound(&self, place: usize, value: Value) -> Expr {
        (self.types.save_as)(place, Expr::val(value))
    }

    pub(crate) fn is(&self, place: usize, value: &Value) -> Expr {
        self.column(place).eq(self.bound(place, value.clone()))
    }

    /// The condition that singles out the row with this key.
    pub(crate) fn has_key(&self, key: &[Value]) -> Condition {
        self.key.iter().zip(key).fold(Condition::all(), |all, (place, value)| all.add(self.is(*place, value)))
    }

    /// Selects columns, each under its own name.
    pub(crate) fn select(&self, places: impl IntoIterator<Item = usize>, which: Condition) -> SelectStatement {
        let mut select = Query::select();
        for place in places {
            select.expr_as((self.types.select_as)(place, self.column(place)), self.columns[place].name);
        }
        select.from(self.table_ref.clone()).cond_where(which).to_owned()
    }

    /// Inserts rows, all of which have the same columns.
    pub(crate) fn insert(&self, rows: impl IntoIterator<Item = Values>) -> InsertStatement {
        let mut insert = Query::insert();
        insert.into_table(self.table_ref.clone());
        for row in rows {
            let (columns, values): (Vec<_>, Vec<_>) = self.written(row).unzip();
            insert.columns(columns).values_panic(values);
        }
        insert
    }

    /// Writes all but the key.
    pub(crate) fn update(&self, mut row: Values, which: Condition) -> UpdateStatement {
        self.key.iter().for_each(|place| row[*place] = None);
        Query::update().table(self.table_ref.clone()).values(self.written(row)).cond_where(which).to_owned()
    }

    pub(crate) fn delete(&self, which: Condition) -> DeleteStatement {
        Query::delete().from_table(self.table_ref.clone()).cond_where(which).to_owned()
    }

    fn written(&self, row: Values) -> impl Iterator<Item = (&'static str, Expr)> {
        let values = row.into_iter().enumerate().filter_map(|(place, value)| Some((place, value?)));
        values.map(|(place, value)| (self.columns[place].name, self.bound(place, value)))
    }

    /// A row of which only the version is known.
    pub(crate) fn versioned(&self, version: Version) -> Values {
        let mut row = vec![None; self.columns.len()];
        row[self.version] = Some((self.types.version_value)(version));
        row
    }
}
