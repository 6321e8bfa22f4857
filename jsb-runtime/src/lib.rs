//! Keeps the rows of two applications' databases in sync over NATS JetStream.

mod syncable;

pub use syncable::{Field, Keys, OnDelete, Syncable, VersionType};
