//! What the machine has already: variables, programs and their versions.

use std::{
    env,
    ffi::OsString,
    path::{self, PathBuf},
    process::{Command, Stdio},
};

/// A program's version: major, minor and patch.
pub(crate) type Version = (u32, u32, u32);

/// Every file of this name on `PATH`, in its order, by its absolute path.
pub(crate) fn on_path(name: &str) -> Vec<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .filter_map(|folder| path::absolute(folder.join(name)).ok())
        .filter(|file| file.is_file())
        .collect()
}

/// A variable of the environment, where it says anything.
pub(crate) fn variable(name: &str) -> Option<OsString> {
    env::var_os(name).filter(|value| !value.is_empty())
}

/// What a program answers to `--version`; nothing if it cannot be run.
pub(crate) fn version_of(program: &mut Command) -> Option<Version> {
    let output = program.arg("--version").stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| parse_version(&String::from_utf8_lossy(&output.stdout)))?
}

/// Reads `nats-server: v2.15.1`, `postgres (PostgreSQL) 18.6`, `postgres (PostgreSQL) 19beta1`.
fn parse_version(text: &str) -> Option<Version> {
    let version = text
        .split_whitespace()
        .map(|word| word.trim_start_matches('v'))
        .find(|word| word.starts_with(|first: char| first.is_ascii_digit()))?;
    let mut numbers = version.split(|c: char| !c.is_ascii_digit());
    let major = numbers.next()?.parse().ok()?;
    let mut more = || numbers.next().and_then(|number| number.parse().ok()).unwrap_or(0);
    Some((major, more(), more()))
}

#[cfg(test)]
mod tests {
    use super::parse_version;

    #[test]
    fn versions_are_read_as_the_servers_print_them() {
        assert_eq!(parse_version("nats-server: v2.9.10\n"), Some((2, 9, 10)));
        assert_eq!(parse_version("nats-server: v2.12.0-RC.1\n"), Some((2, 12, 0)));
        assert_eq!(parse_version("postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)\n"), Some((15, 14, 0)));
        assert_eq!(parse_version("postgres (PostgreSQL) 19beta1\n"), Some((19, 0, 0)));
        assert_eq!(parse_version("no version here\n"), None);
    }
}
