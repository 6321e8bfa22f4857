#![no_main]

use jsb_runtime::invariants;
use libfuzzer_sys::fuzz_target;

// Two names, one a line.
fuzz_target!(|names: &str| {
    let (app, destination) = names.split_once('\n').unwrap_or((names, ""));
    invariants::names(app, destination);
});
