//! Entities of every kind that the derive knows.

pub mod organization;
pub mod user;
