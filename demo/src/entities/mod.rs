//! What is kept in sync.

#![allow(unreachable_pub, reason = "entities look as in any application; SeaORM's macros make them public")]

pub(crate) mod organization;
pub(crate) mod user;
