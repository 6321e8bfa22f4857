//! The derive and attribute macros of JSB, met by users through `jsb-runtime`, which explains them.
//!
//! A derive takes three steps, with a type between each two: `input` reads the struct as an `Entity`,
//! `check` makes that a `Validated` or reports all of its faults, `expand` writes the code.

mod faults;

mod attr;
mod input;

mod check;

mod expand;
mod fallback;
mod handler;
mod syncable;

#[cfg(test)]
mod golden;
#[cfg(test)]
mod invariants;
#[cfg(test)]
mod props;

use proc_macro::TokenStream;

/// Keeps the rows of an entity in sync: stands on the entity's `Model`.
///
/// ```
/// # fn main() {}
/// mod organization {
///     use jsb_runtime::prelude::*;
///     use sea_orm::entity::prelude::*;
///
///     #[derive(Clone, Debug, PartialEq, DeriveEntityModel, Syncable)]
///     #[sea_orm(table_name = "organizations")]
///     #[syncable(resource = "organization", keys = "interleaved")]
///     pub struct Model {
///         #[sea_orm(primary_key)]
///         pub id: i64,
///         pub name: String,
///         #[syncable(skip)]
///         pub internal_note: Option<String>,
///         pub updated_at: DateTimeUtc,
///     }
///
///     #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
///     pub enum Relation {}
/// }
/// ```
///
/// On the struct, `#[syncable(..)]` takes
///
/// * `resource = "name"`: what the entity is called on the wire (required);
/// * `keys = "interleaved"` or `"single_writer"`: how the keys of two systems are kept apart (required where the
///   database draws the key);
/// * `delete = "apply"` or `"ignore"`: with `"ignore"`, deletes are neither published nor applied; must be the same on
///   both sides;
/// * `behavior = "custom"`: `ActiveModelBehavior` is written by hand, and calls the functions of `jsb_runtime::hooks`.
///
/// On a field it takes
///
/// * `version`: this column holds the row's version, instead of `updated_at`;
/// * `skip`: the column stays local, and a save that writes nothing else is no edit of the row;
/// * `rename = "name"`: what the column is called on the wire.
#[proc_macro_derive(Syncable, attributes(syncable))]
pub fn derive_syncable(input: TokenStream) -> TokenStream {
    syncable::expand(input.into()).into()
}

/// Runs an async function for every event of one resource and type, in the transaction that marks it as processed.
///
/// ```
/// # fn main() {}
/// use jsb_runtime::prelude::*;
/// use sea_orm::prelude::Json;
///
/// #[handler(resource = "invoice", event = "paid")]
/// #[handler(resource = "invoice", event = "waived")]
/// async fn close(event: &Event<Json>, ctx: &HandlerContext<'_>) -> HandlerResult {
///     // What is written through `ctx.db()` is written once, however often the event is delivered.
///     Ok(())
/// }
/// ```
///
/// The payload is that of the resource's entity (`Event<user::Model>`, where columns that stay at home or that the event does not
/// carry hold their type's default), raw JSON as here, or `Event<AsJson<T>>` of any type that serde reads. Only what is
/// written through `ctx.db()` happens once; synced rows that are saved there are published.
#[proc_macro_attribute]
pub fn handler(args: TokenStream, item: TokenStream) -> TokenStream {
    handler::expand(args.into(), item.into()).into()
}
