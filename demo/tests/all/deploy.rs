//! The files of deploy/: each is read by a typed parser that would see a wrong key, and held against the others and the code.

mod compose;
mod dockerfile;
mod environment;
mod kubernetes;
mod nats;
mod pipeline;
mod reading;
mod running;

use std::path::{Path, PathBuf};

/// How many seconds a system takes to stop at the most: the API has 5, the bridge 30, the connections to NATS and to the
/// database 5 each.
const STOPS_WITHIN: u64 = 45;

/// A file or a folder of deploy/.
fn deploy(path: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy")).join(path)
}

fn read(path: &str) -> String {
    std::fs::read_to_string(deploy(path)).unwrap_or_else(|error| panic!("deploy/{path}: {error}"))
}

/// An image without a version is another one tomorrow.
#[track_caller]
fn assert_pinned(image: &str) {
    let (name, tag) = image.rsplit_once(':').unwrap_or_else(|| panic!("{image} has no tag"));
    // Distroless images carry Debian's version in their names.
    let versioned = if name.contains("/distroless/") { name } else { tag };
    assert!(versioned.contains(|c: char| c.is_ascii_digit()), "{image} is not pinned to a version");
}
