#![no_main]

use jsb_runtime::invariants;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| invariants::body(body));
