//! The rule on keys: rows that two systems create must never share one.

use syn::{Error, Result};

use super::Keys;
use crate::attr;
use crate::faults::Faults;
use crate::input::{Entity, Field};

const NO_KEY: &str = "this entity has no primary key; mark its column with `#[sea_orm(primary_key)]`";

const NO_CHOICE: &str = "\
the database draws this key, so both systems would draw 1, 2, 3, .. and overwrite each other's rows; write
`#[syncable(keys = \"interleaved\")]` if both systems create rows, so that each draws numbers of its own,
`#[syncable(keys = \"single_writer\")]` if only one of the systems ever creates rows, or
`#[sea_orm(primary_key, auto_increment = false)]` if it is the application that draws the key";

const NO_NEED: &str = "`keys` is for a key that the database draws, which this one is not; remove `keys`";

const TOO_NARROW: &str = "\
interleaved keys leave gaps, for which this type is too small; \
make it `i64`, `i32` or `u32`, or write `keys = \"single_writer\"`";

const UNREADABLE: &str = "SeaORM reads no `u64` from PostgreSQL or SQLite; make it `i64`, `i32` or `u32`";

const FRACTION: &str = "\
a number with a fraction is written in more than one way, and both systems know a row by the text of its key; \
make it an integer, a `String` or a `Uuid`";

/// Where the database draws the key, both databases would draw the same ones, unless the author chose how they do not.
pub(super) fn keys(entity: &Entity) -> Result<Keys> {
    let key: Vec<_> = entity.columns().filter(|column| column.primary_key).collect();
    have_one_text(&key)?;
    let choice = entity.setting("keys");
    match (key.as_slice(), choice) {
        ([], _) => Err(Error::new_spanned(&entity.ident, NO_KEY)),
        ([column], Some(choice)) if is_drawn_by_database(column) => {
            let keys =
                attr::choice(choice, &[("interleaved", Keys::Interleaved), ("single_writer", Keys::SingleWriter)])?;
            if column.type_name() == "u64" {
                return Err(Error::new_spanned(&column.ty, UNREADABLE));
            }
            if keys == Keys::Interleaved && is_narrow(column) {
                return Err(Error::new_spanned(&column.ty, TOO_NARROW));
            }
            Ok(keys)
        }
        ([column], None) if is_drawn_by_database(column) => Err(Error::new_spanned(&column.ty, NO_CHOICE)),
        (_, Some(choice)) => Err(Error::new_spanned(choice, NO_NEED)),
        (_, None) => Ok(Keys::Natural),
    }
}

/// The database would find the row of a key that is written otherwise; locks and tombstones would not be found.
fn have_one_text(key: &[&Field]) -> Result<()> {
    let mut faults = Faults::default();
    for column in key.iter().filter(|column| matches!(column.type_name().as_str(), "Decimal" | "f32" | "f64")) {
        faults.add(Error::new_spanned(&column.ty, FRACTION));
    }
    faults.finish(())
}

/// SeaORM's own rule. It takes a type that it does not know, such as a newtype of `i64`, for a number.
fn is_drawn_by_database(key: &Field) -> bool {
    let ty = key.type_name();
    key.auto_increment.unwrap_or(!ty.ends_with("String") && !ty.ends_with("Uuid"))
}

fn is_narrow(key: &Field) -> bool {
    matches!(key.type_name().as_str(), "i8" | "i16" | "u8" | "u16")
}
