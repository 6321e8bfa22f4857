//! A macro crate cannot be called, so its modules are compiled into this target.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../jsb-derive/src"]
mod derive {
    pub(crate) mod attr;
    pub(crate) mod check;
    pub(crate) mod expand;
    pub(crate) mod fallback;
    pub(crate) mod faults;
    pub(crate) mod handler;
    pub(crate) mod input;
    pub(crate) mod invariants;
    pub(crate) mod syncable;
}
// The modules find each other in the root of their crate.
use derive::{attr, check, expand, fallback, faults, handler, input, invariants, syncable};

fuzz_target!(|source: &str| invariants::check(source));
