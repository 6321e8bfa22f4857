//! What is compiled for every entity. So it is loops rather than chains of iterators, each link of which would be a
//! function of its own.

use sea_orm::sea_query::{ArrayType, Expr, ExprTrait, IntoValueTuple, SelectStatement, Value};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ColumnTypeTrait, DbErr, EntityTrait, IdenStatic, Iterable, ModelTrait,
    PrimaryKeyToColumn, PrimaryKeyTrait, QueryResult, TryGetableMany,
};
use serde_json::Value as Json;

use crate::row;
use crate::syncable::{ActiveModelOf, ColumnOf, Syncable, VersionType};
use crate::version::Version;

/// The column whose value is none of its type, and why not.
type Misfit = (usize, DbErr);

/// What the entity's own Rust types have to do, a column being known by its place.
pub(crate) struct Types {
    /// Gives every value the form of its column; or says which one cannot have it.
    pub(super) conform: fn(&mut [Option<Value>]) -> Result<(), Misfit>,
    pub(crate) save_as: fn(usize, Expr) -> Expr,
    pub(crate) save_array_as: fn(usize, Expr) -> Expr,
    pub(crate) select_as: fn(usize, Expr) -> Expr,
    /// Selects all columns of the entity's, those that do not travel too.
    pub(super) select_all: fn(&mut SelectStatement),
    /// The payload of a row of which all columns were selected.
    pub(crate) payload_of: fn(&QueryResult) -> Result<Json, DbErr>,
    pub(crate) key_of: fn(&QueryResult) -> Result<Vec<Value>, DbErr>,
    /// The version that was selected; none, if there was no row.
    pub(crate) version_of: fn(&QueryResult) -> Result<Option<Version>, DbErr>,
    pub(super) version_value: fn(Version) -> Value,
}

impl Types {
    pub(super) fn of<M: Syncable>() -> Self {
        Self {
            conform: conform::<M>,
            save_as: |place, value| M::FIELDS[place].column.save_as(value),
            save_array_as: |place, values| save_array_as(M::FIELDS[place].column, values),
            select_as: |place, column| M::FIELDS[place].column.select_as(column),
            select_all: select_all::<M>,
            payload_of: payload_of::<M>,
            key_of: key_of::<M>,
            version_of: version_of::<M>,
            version_value: |version| M::Version::from_version(version).into(),
        }
    }
}

fn conform<M: Syncable>(values: &mut [Option<Value>]) -> Result<(), Misfit> {
    let mut row = <ActiveModelOf<M> as ActiveModelTrait>::default();
    for (place, value) in values.iter_mut().enumerate() {
        let column = M::FIELDS[place].column;
        let Some(given) = value.take() else { continue };
        // A JSON column's type may know but some of the members that programs of the other side have; none is to be lost here.
        let json = matches!(given, Value::Json(_)).then(|| given.clone());
        if let Err(error) = row.try_set(column, given) {
            return Err((place, error));
        }
        *value = json.or_else(|| row.get(column).into_value());
    }
    Ok(())
}

/// SeaORM casts a text to an enum of the database's, but not an array of them.
fn save_array_as(column: impl ColumnTrait, values: Expr) -> Expr {
    let values = column.save_array_as(values);
    let are_texts = matches!(values, Expr::Value(Value::Array(ArrayType::String, _)));
    match column.def().get_enum_name() {
        Some(name) if are_texts => values.as_enum(format!("{name}[]")),
        _ => values,
    }
}

fn select_all<M: Syncable>(select: &mut SelectStatement) {
    for column in ColumnOf::<M>::iter() {
        select.expr_as(column.select_as(Expr::col(column.as_str())), column.as_str());
    }
}

fn payload_of<M: Syncable>(stored: &QueryResult) -> Result<Json, DbErr> {
    let row = M::from_query_result(stored, "")?.into_active_model();
    match row::payload_of::<M>(&row, Some(stored)) {
        Ok(payload) => Ok(payload),
        Err(error) => Err(DbErr::Custom(error.to_string())),
    }
}

fn version_of<M: Syncable>(row: &QueryResult) -> Result<Option<Version>, DbErr> {
    let version: Option<M::Version> = row.try_get("", M::VERSION.as_str())?;
    Ok(version.map(VersionType::into_version))
}

fn key_of<M: Syncable>(row: &QueryResult) -> Result<Vec<Value>, DbErr> {
    type KeyOf<M> = <<<M as ModelTrait>::Entity as EntityTrait>::PrimaryKey as PrimaryKeyTrait>::ValueType;
    let mut names = Vec::new();
    for column in <M::Entity as EntityTrait>::PrimaryKey::iter() {
        names.push(column.into_column().as_str().to_owned());
    }
    Ok(KeyOf::<M>::try_get_many(row, "", &names)?.into_value_tuple().into_iter().collect())
}
