#![no_main]

use jsb_runtime::invariants;
use libfuzzer_sys::fuzz_target;

// Variables as in a file of an environment: `NAME=value`, one a line.
fuzz_target!(|text: &str| {
    let lines = text.lines().filter_map(|line| line.split_once('='));
    invariants::variables(&lines.map(|(name, value)| (name.to_owned(), value.to_owned())).collect());
});
