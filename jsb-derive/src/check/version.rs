//! The rule on versions: of two edits of a row, both systems must find the same one to be the newer.

use syn::{Error, GenericArgument, PathArguments, PathSegment, Result, Type};

use super::Version;
use crate::attr;
use crate::faults::Faults;
use crate::input::{Entity, Field};

const NONE: &str = "\
this entity has no version; add `pub updated_at: DateTimeUtc`, \
or mark the column that holds the time of a row's last edit with `#[syncable(version)]`";

const SECOND: &str = "a row has one version; mark only one column with `#[syncable(version)]`";

const LOCAL_TIME: &str = "local time differs between two systems, and repeats an hour when summer ends";

const KEY: &str = "the version changes with every edit and the key with none; let another column be the version";

/// The version is in the column that is marked, else in `updated_at`.
pub(super) fn column(entity: &Entity) -> Option<&Field> {
    let marked = entity.columns().find(|column| column.setting("version").is_some());
    marked.or_else(|| entity.columns().find(|column| column.ident == "updated_at"))
}

pub(super) fn version(entity: &Entity) -> Result<Version> {
    let Some(column) = column(entity) else {
        return Err(Error::new_spanned(&entity.ident, NONE));
    };
    let mut faults = Faults::default();
    let marks = entity.columns().filter_map(|column| column.setting("version"));
    for (i, mark) in marks.enumerate() {
        faults.take(attr::check_word(mark));
        if i > 0 {
            faults.add(Error::new_spanned(mark, SECOND));
        }
    }
    if column.primary_key {
        faults.add(Error::new_spanned(&column.ident, KEY));
    }
    if let Some(reason) = column.type_segment().and_then(unfit) {
        let message = format!("{reason}; make the type of the version `DateTimeUtc`");
        faults.add(Error::new_spanned(&column.ty, message));
    }
    faults.finish(Version { column: column.variant.clone(), ty: column.ty.clone() })
}

/// Why this type cannot hold a version, if its name tells. The trait bound on `Syncable::Version` knows the rest.
fn unfit(ty: &PathSegment) -> Option<&'static str> {
    match ty.ident.to_string().as_str() {
        "Option" => Some("a row that was never edited has a version too"),
        "DateTimeLocal" | "ChronoDateTimeLocal" => Some(LOCAL_TIME),
        "DateTime" if is_local(ty) => Some(LOCAL_TIME),
        name if NO_TIMESTAMPS.contains(&name) => Some("a version is a point in time, to the microsecond"),
        _ => None,
    }
}

const NO_TIMESTAMPS: [&str; 13] =
    ["String", "i8", "i16", "i32", "i64", "u8", "u16", "u32", "u64", "f32", "f64", "Date", "Time"];

fn is_local(date_time: &PathSegment) -> bool {
    let PathArguments::AngleBracketed(arguments) = &date_time.arguments else { return false };
    arguments.args.iter().any(|argument| match argument {
        GenericArgument::Type(Type::Path(zone)) => zone.path.segments.last().is_some_and(|zone| zone.ident == "Local"),
        _ => false,
    })
}
