//! ARCHITECTURE.md names the tests that try to break each promise: they must be there.

use std::fs;
use std::path::Path;

/// How many promises there are.
const PROMISES: usize = 9;

/// The tests that its table names for a promise, as `module::test`.
fn named(page: &str, promise: usize) -> Vec<(&str, &str)> {
    let begin = format!("| P{promise} ");
    let row = page.lines().find(|line| line.starts_with(&begin)).unwrap_or_default();
    row.split('`').skip(1).step_by(2).filter_map(|code| code.rsplit_once("::")).collect()
}

fn file(root: &Path, module: &str) -> String {
    let path = format!("tests/all/{}.rs", module.trim_start_matches('/'));
    fs::read_to_string(root.join(&path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn the_tests_that_are_said_to_break_them_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("../ARCHITECTURE.md")).expect("the page");
    for promise in 1..=PROMISES {
        let named = named(&page, promise);
        assert!(!named.is_empty(), "no test tries to break P{promise}");
        for (module, test) in named {
            let mut source = file(root, "main");
            let mut path = String::new();
            for part in module.split("::") {
                assert!(source.contains(&format!("\nmod {part};")), "{module} is compiled nowhere");
                path = format!("{path}/{part}");
                source = file(root, &path);
            }
            assert!(source.contains(&format!("fn {test}(")), "there is no {module}::{test}");
        }
    }
}
