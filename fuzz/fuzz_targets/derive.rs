//! A macro crate cannot be called, so its modules are compiled into this target.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../jsb-derive/src/attr.rs"]
mod attr;
#[path = "../../jsb-derive/src/check.rs"]
mod check;
#[path = "../../jsb-derive/src/expand.rs"]
mod expand;
#[path = "../../jsb-derive/src/fallback.rs"]
mod fallback;
#[path = "../../jsb-derive/src/faults.rs"]
mod faults;
#[path = "../../jsb-derive/src/handler.rs"]
mod handler;
#[path = "../../jsb-derive/src/input.rs"]
mod input;
#[path = "../../jsb-derive/src/invariants.rs"]
mod invariants;
#[path = "../../jsb-derive/src/syncable.rs"]
mod syncable;

fuzz_target!(|source: &str| invariants::check(source));
