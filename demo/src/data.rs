//! The folder in which the pair keeps what it knows from one run to the next.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

/// An open data folder; nobody else has it open.
pub(crate) struct DataFolder {
    path: PathBuf,
    _lock: File,
}

impl DataFolder {
    /// Opens the folder, or makes it.
    pub(crate) fn open(path: PathBuf) -> anyhow::Result<Self> {
        let cannot_open = || format!("cannot use the data folder {}", path.display());
        fs::create_dir_all(&path).with_context(cannot_open)?;
        let path = path.canonicalize().with_context(cannot_open)?;
        let lock = File::create(path.join("lock")).with_context(cannot_open)?;
        // Two nats-servers on one JetStream folder destroy it.
        if lock.try_lock().is_err() {
            bail!("the data folder {} is in use by another pair; choose one with --data", path.display());
        }
        Ok(Self { path, _lock: lock })
    }

    /// In cargo's target folder, which bears this tag; a program that was installed elsewhere uses the current folder.
    pub(crate) fn default_path(name: &str) -> anyhow::Result<PathBuf> {
        let program = std::env::current_exe().context("cannot tell where this program lies")?;
        let target = program.ancestors().find(|folder| folder.join("CACHEDIR.TAG").is_file());
        Ok(target.unwrap_or(Path::new("")).join(name))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Where the nats-server keeps its streams.
    pub(crate) fn jetstream(&self) -> PathBuf {
        self.path.join("jetstream")
    }

    /// Where the passwords of the nats-server's users are kept.
    pub(crate) fn secrets(&self) -> PathBuf {
        self.path.join("secrets")
    }

    /// The URL of a SQLite file.
    pub(crate) fn sqlite_url(&self, name: &str) -> String {
        let file = self.path.join(name).with_extension("sqlite");
        format!("sqlite://{}", file.display().to_string().replace('%', "%25").replace('?', "%3F"))
    }
}
