//! One entity, synced and plain. The stage `derive` makes many of each from these very files.

pub(crate) mod organization;
pub(crate) mod plain;
