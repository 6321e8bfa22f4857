//! Entities and handlers as users write them; that they compile is most of the test.

pub mod compact;
pub mod custom_behavior;
pub mod dense;
pub mod handlers;
pub mod keys;
pub mod naming;
pub mod saves;
pub mod versions;

use jsb_runtime::Syncable;

/// The fields of a payload.
fn wire_names<M: Syncable>() -> Vec<&'static str> {
    M::FIELDS.iter().map(|field| field.name()).collect()
}
