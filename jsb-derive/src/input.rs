//! An entity as its author wrote it: what `#[syncable(..)]` says, and what matters here of SeaORM's own attributes.

use heck::{ToSnakeCase, ToUpperCamelCase};
use proc_macro2::Ident;
use syn::ext::IdentExt;
use syn::{Data, DeriveInput, Error, Fields, Generics, Meta, PathSegment, Result, Type};

use crate::attr;
use crate::faults::Faults;

pub(crate) const NOT_A_MODEL: &str = "\
only an entity can be kept in sync; put `#[derive(Syncable)]` on its `Model`, a struct with named fields";

/// A struct with named fields, of which nothing is judged yet.
pub(crate) struct Entity {
    pub(crate) ident: Ident,
    pub(crate) generics: Generics,
    /// What `#[syncable(..)]` on the struct says.
    pub(crate) settings: Vec<Meta>,
    pub(crate) fields: Vec<Field>,
    /// SeaORM renders the columns' names in another letter case.
    renames_all: bool,
}

pub(crate) struct Field {
    pub(crate) ident: Ident,
    pub(crate) ty: Type,
    /// What `#[syncable(..)]` on the field says.
    pub(crate) settings: Vec<Meta>,
    /// The variant of SeaORM's `Column`.
    pub(crate) variant: Ident,
    pub(crate) primary_key: bool,
    pub(crate) auto_increment: Option<bool>,
    pub(crate) has_default: bool,
    /// A field that is no column.
    pub(crate) ignored: bool,
    column_name: Option<String>,
}

impl Entity {
    /// Fails where the input cannot be read, so that no rule judges what is only half known.
    pub(crate) fn read(input: &DeriveInput) -> Result<Self> {
        let mut faults = Faults::default();
        let settings = faults.take(attr::entries(&input.attrs, "syncable")).unwrap_or_default();
        let sea_orm = faults.take(attr::entries(&input.attrs, "sea_orm")).unwrap_or_default();
        let fields = faults.take(named_fields(input)).into_iter().flatten();
        let fields = fields.filter_map(|field| faults.take(Field::read(field))).collect();
        faults.finish(Self {
            ident: input.ident.clone(),
            generics: input.generics.clone(),
            settings,
            fields,
            renames_all: attr::find(&sea_orm, "rename_all").is_some(),
        })
    }

    pub(crate) fn setting(&self, name: &str) -> Option<&Meta> {
        attr::find(&self.settings, name)
    }

    pub(crate) fn columns(&self) -> impl Iterator<Item = &Field> {
        self.fields.iter().filter(|field| !field.ignored)
    }

    /// The column's name in the database, unless SeaORM's rules on letter case decide it.
    pub(crate) fn column_name(&self, field: &Field) -> Option<String> {
        field.column_name.clone().or_else(|| (!self.renames_all).then(|| inferred_column_name(field)))
    }
}

impl Field {
    fn read((ident, field): (&Ident, &syn::Field)) -> Result<Self> {
        let mut faults = Faults::default();
        let settings = faults.take(attr::entries(&field.attrs, "syncable")).unwrap_or_default();
        let sea_orm = faults.take(attr::entries(&field.attrs, "sea_orm")).unwrap_or_default();
        let find = |name| attr::find(&sea_orm, name);
        let variant = faults.note(match find("enum_name") {
            Some(name) => attr::string(name).and_then(|name| name.parse()),
            None => inferred_variant(ident),
        });
        faults.finish(Self {
            ident: ident.clone(),
            ty: field.ty.clone(),
            settings,
            // Without one there is a fault, and nobody looks at the rest.
            variant: variant.unwrap_or_else(|_| ident.clone()),
            primary_key: find("primary_key").is_some(),
            auto_increment: find("auto_increment").and_then(attr::boolean),
            has_default: find("default_value").or_else(|| find("default_expr")).is_some(),
            ignored: find("ignore").is_some(),
            column_name: find("column_name").and_then(|name| attr::string(name).ok()).map(|name| name.value()),
        })
    }

    pub(crate) fn setting(&self, name: &str) -> Option<&Meta> {
        attr::find(&self.settings, name)
    }

    pub(crate) fn travels(&self) -> bool {
        self.setting("skip").is_none()
    }

    /// A field that SeaORM's dense format keeps out of `Model`.
    pub(crate) fn is_relation(&self) -> bool {
        matches!(self.type_name().as_str(), "BelongsTo" | "HasOne" | "HasMany")
    }

    /// The last segment of the type's path, which is all that a macro can know of a type.
    pub(crate) fn type_segment(&self) -> Option<&PathSegment> {
        let mut ty = &self.ty;
        while let Type::Group(group) = ty {
            ty = &group.elem;
        }
        match ty {
            Type::Path(ty) => ty.path.segments.last(),
            _ => None,
        }
    }

    pub(crate) fn type_name(&self) -> String {
        self.type_segment().map_or_else(String::new, |segment| segment.ident.to_string())
    }
}

fn named_fields(input: &DeriveInput) -> Result<Vec<(&Ident, &syn::Field)>> {
    match &input.data {
        Data::Struct(data) if matches!(data.fields, Fields::Named(_)) => {
            Ok(data.fields.iter().filter_map(|field| Some((field.ident.as_ref()?, field))).collect())
        }
        _ => Err(Error::new_spanned(&input.ident, NOT_A_MODEL)),
    }
}

/// SeaORM's own rule; `Self` is the one keyword that it can run into.
fn inferred_variant(field: &Ident) -> Result<Ident> {
    let variant = field.unraw().to_string().to_upper_camel_case();
    let variant = if variant == "Self" { "Self_" } else { &variant };
    let parsed = syn::parse_str::<Ident>(variant);
    parsed
        .map(|variant| Ident::new(&variant.to_string(), field.span()))
        .map_err(|_| Error::new_spanned(field, "no variant of `Column` can have this name; give the field another one"))
}

/// SeaORM's own rule: the name follows the variant, unless the variant lost some of the field's underscores.
fn inferred_column_name(field: &Field) -> String {
    let name = field.ident.unraw().to_string();
    if name.to_upper_camel_case().to_snake_case() == name {
        field.variant.unraw().to_string().to_snake_case()
    } else {
        name.to_snake_case()
    }
}
