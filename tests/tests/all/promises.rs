//! ARCHITECTURE.md names the tests that try to break each promise: they must be there.

use std::fs;
use std::path::Path;

/// The tests that its table names, as `file::test`.
fn named(page: &str) -> Vec<(&str, &str)> {
    let rows = page.lines().filter(|line| line.starts_with("| P"));
    rows.flat_map(|row| row.split('`').skip(1).step_by(2)).filter_map(|code| code.split_once("::")).collect()
}

#[test]
fn the_tests_that_are_said_to_break_them_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("../ARCHITECTURE.md")).expect("the page");
    let named = named(&page);
    assert!(named.len() > 20, "{named:?}");
    for (file, test) in named {
        let source = fs::read_to_string(root.join(format!("tests/all/{file}.rs"))).expect("a file of tests");
        assert!(source.contains(&format!("fn {test}(")), "there is no {file}::{test}");
    }
}
