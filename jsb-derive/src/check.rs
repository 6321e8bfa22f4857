//! The rules, each a function that says why. What passes all of them is a [`Validated`] entity.

mod key;
mod version;

use std::collections::HashSet;

use proc_macro2::Ident;
use syn::{Error, Result, Type};

use crate::attr;
use crate::faults::Faults;
use crate::input::{Entity, Field, NOT_A_MODEL};

/// An entity that can be kept in sync, with every choice made.
pub(crate) struct Validated {
    pub(crate) resource: String,
    pub(crate) keys: Keys,
    pub(crate) on_delete: OnDelete,
    pub(crate) custom_behavior: bool,
    pub(crate) version: Version,
    pub(crate) fields: Vec<WireField>,
}

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Keys {
    Natural,
    Interleaved,
    SingleWriter,
}

#[derive(Clone, Copy)]
pub(crate) enum OnDelete {
    Apply,
    Ignore,
}

pub(crate) struct Version {
    pub(crate) column: Ident,
    pub(crate) ty: Type,
}

/// A column that travels.
pub(crate) struct WireField {
    pub(crate) column: Ident,
    pub(crate) rename: Option<String>,
}

/// Applies every rule, so that one compilation shows all that is wrong with an entity.
pub(crate) fn validate(entity: &Entity) -> Result<Validated> {
    let mut faults = Faults::default();
    faults.take(place(entity));
    faults.take(settings(entity));
    let resource = faults.note(resource(entity));
    let keys = faults.note(key::keys(entity));
    let on_delete = faults.note(on_delete(entity));
    let custom_behavior = faults.note(custom_behavior(entity));
    let version = faults.note(version::version(entity));
    faults.take(skipped_columns(entity));
    let fields = faults.note(wire_fields(entity));
    faults.finish(())?;

    Ok(Validated {
        resource: resource?,
        keys: keys?,
        on_delete: on_delete?,
        custom_behavior: custom_behavior?,
        version: version?,
        fields: fields?,
    })
}

/// SeaORM's dense format hands the derive a second struct, which adds the relations to the columns of `Model`.
/// There is nothing to write for it, but a setting on a relation would otherwise be lost in silence.
pub(crate) fn check_relations(model_ex: &Entity) -> Result<()> {
    let mut faults = Faults::default();
    for field in model_ex.fields.iter().filter(|field| field.is_relation()) {
        faults.take(no_settings(field));
    }
    faults.finish(())
}

/// The generated code names `ActiveModel` and `Column`, which SeaORM puts beside a `Model` without generics.
fn place(entity: &Entity) -> Result<()> {
    let mut faults = Faults::default();
    if entity.ident != "Model" {
        faults.add(Error::new_spanned(&entity.ident, NOT_A_MODEL));
    }
    if !entity.generics.params.is_empty() {
        let message = "an entity's `Model` has no generics; write one entity for each type";
        faults.add(Error::new_spanned(&entity.generics, message));
    }
    faults.finish(())
}

/// A typo must not pass for a setting that was never made.
fn settings(entity: &Entity) -> Result<()> {
    let mut faults = Faults::default();
    faults.take(attr::check_names(&entity.settings, &["resource", "keys", "delete", "behavior"]));
    for field in &entity.fields {
        faults.take(if field.ignored {
            no_settings(field)
        } else {
            attr::check_names(&field.settings, &["version", "skip", "rename"])
        });
    }
    faults.finish(())
}

fn no_settings(field: &Field) -> Result<()> {
    field.settings.first().map_or(Ok(()), |setting| {
        Err(Error::new_spanned(setting, "this field is no column, and only columns travel; remove `#[syncable(..)]`"))
    })
}

/// The name is a part of the wire format, so it does not follow the name of a table or a module.
fn resource(entity: &Entity) -> Result<String> {
    let Some(setting) = entity.setting("resource") else {
        let message = "this entity has no name on the wire; write `#[syncable(resource = \"..\")]`";
        return Err(Error::new_spanned(&entity.ident, message));
    };
    let name = attr::string(setting)?;
    let resource = name.value();
    let allowed = |c| matches!(c, 'a'..='z' | '0'..='9' | '_' | '-');
    if resource.is_empty() || !resource.chars().all(allowed) {
        return Err(Error::new(name.span(), "write a name made of lower-case letters, digits, `_` and `-`"));
    }
    Ok(resource)
}

fn on_delete(entity: &Entity) -> Result<OnDelete> {
    entity.setting("delete").map_or(Ok(OnDelete::Apply), |setting| {
        attr::choice(setting, &[("apply", OnDelete::Apply), ("ignore", OnDelete::Ignore)])
    })
}

fn custom_behavior(entity: &Entity) -> Result<bool> {
    entity.setting("behavior").map_or(Ok(false), |setting| attr::choice(setting, &[("custom", true)]))
}

/// The other side's rows come without a skipped column, so the database must be able to fill it.
fn skipped_columns(entity: &Entity) -> Result<()> {
    let mut faults = Faults::default();
    for column in entity.columns() {
        let Some(setting) = column.setting("skip") else { continue };
        faults.take(attr::check_word(setting));
        if column.primary_key {
            let message = "the key tells which row is meant, so it must travel; remove `skip`";
            faults.add(Error::new_spanned(setting, message));
        } else if version::column(entity).is_some_and(|version| version.ident == column.ident) {
            let message = "the version tells which edit is newer, so it must travel; remove `skip`";
            faults.add(Error::new_spanned(setting, message));
        } else if column.type_name() != "Option" && !column.has_default {
            let message = "a row of the other side comes without this column; make its type an `Option` and the \
                           database's column nullable, or give that column a default and say so with \
                           `#[sea_orm(default_value = ..)]`";
            faults.add(Error::new_spanned(&column.ty, message));
        }
    }
    faults.finish(())
}

/// The columns that travel, in the order of the struct.
fn wire_fields(entity: &Entity) -> Result<Vec<WireField>> {
    let mut faults = Faults::default();
    let mut fields = Vec::new();
    for column in entity.columns() {
        let rename = faults.take(rename(column)).flatten();
        if column.travels() {
            fields.push(WireField { column: column.variant.clone(), rename });
        }
    }
    faults.take(wire_names_differ(entity));
    faults.finish(fields)
}

/// An empty name, or a name for what does not travel, is a mistake.
fn rename(column: &Field) -> Result<Option<String>> {
    let Some(setting) = column.setting("rename") else { return Ok(None) };
    if !column.travels() {
        let message = "a skipped column has no name on the wire; remove `skip` or `rename`";
        return Err(Error::new_spanned(setting, message));
    }
    let name = attr::string(setting)?;
    match name.value() {
        empty if empty.is_empty() => Err(Error::new(name.span(), "write a name, or remove `rename`")),
        name => Ok(Some(name)),
    }
}

/// In a payload one name has one meaning.
fn wire_names_differ(entity: &Entity) -> Result<()> {
    let renamed = |column: &Field| column.setting("rename").and_then(|setting| attr::string(setting).ok().cloned());
    let travelling = || entity.columns().filter(|column| column.travels());
    let unrenamed = travelling().filter(|column| renamed(column).is_none());
    let mut taken: HashSet<_> = unrenamed.filter_map(|column| entity.column_name(column)).collect();

    let mut faults = Faults::default();
    for name in travelling().filter_map(renamed) {
        if !taken.insert(name.value()) {
            faults.add(Error::new(name.span(), "another column travels under this name; write a different one"));
        }
    }
    faults.finish(())
}
