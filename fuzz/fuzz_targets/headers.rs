#![no_main]

use jsb_runtime::invariants;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|block: &[u8]| invariants::headers(block));
