//! The programs of this package.

use std::path::PathBuf;

/// One that cargo has built beside the program that runs.
///
/// # Errors
///
/// When it has not been built.
pub fn beside_us(name: &str) -> anyhow::Result<PathBuf> {
    let program = std::env::current_exe()?.with_file_name(name);
    anyhow::ensure!(
        program.is_file(),
        "{} is missing: build it by `cargo build -p jsb-tests --bins`, with `--release` if this is a release",
        program.display()
    );
    Ok(program)
}
