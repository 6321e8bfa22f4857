//! The program `dev-servers` on a machine of its own.

use std::{
    error::Error,
    fs::{self, Permissions},
    io::{self, BufRead, BufReader, Lines},
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, ExitStatus, Stdio},
};

use tempfile::TempDir;

use crate::{TestResult, port};

const PROGRAM: &str = env!("CARGO_BIN_EXE_dev-servers");

/// A machine as the program `dev-servers` sees it: with temporary files of its own, and if it is
/// bare with nothing else but what the test installs.
pub(crate) struct Machine {
    folder: TempDir,
    bare: bool,
}

impl Machine {
    pub(crate) fn new() -> Result<Self, Box<dyn Error>> {
        let machine = Self { folder: tempfile::tempdir()?, bare: false };
        fs::create_dir(machine.bin())?;
        fs::create_dir(machine.temporary())?;
        // The user that PostgreSQL runs as has to get through, and may remove what is its own.
        fs::set_permissions(&machine.folder, Permissions::from_mode(0o755))?;
        fs::set_permissions(machine.temporary(), Permissions::from_mode(0o1777))?;
        Ok(machine)
    }

    pub(crate) fn bare() -> Result<Self, Box<dyn Error>> {
        let mut machine = Self::new()?;
        machine.bare = true;
        shell("cp \"$1\" \"$2\"", [Path::new(PROGRAM), &machine.bin().join("dev-servers")])?;
        Ok(machine)
    }

    pub(crate) fn bin(&self) -> PathBuf {
        self.folder.path().join("bin")
    }

    pub(crate) fn temporary(&self) -> PathBuf {
        self.folder.path().join("tmp")
    }

    /// The temporary folders of servers.
    pub(crate) fn server_folders(&self) -> Vec<String> {
        let mut names = names(&self.temporary());
        names.retain(|name| name.starts_with("dev-server-"));
        names
    }

    pub(crate) fn install(&self, name: &str, script: &str) -> Result<PathBuf, Box<dyn Error>> {
        let file = self.bin().join(name);
        shell("printf '%s' \"$2\" >\"$1\" && chmod 755 \"$1\"", [&file, Path::new(script)])?;
        Ok(file)
    }

    /// Installs a tool of the real machine.
    pub(crate) fn link(&self, tool: &str) -> TestResult {
        let path = match tool {
            // What lies on PATH may be a script of a version manager, which needs other tools.
            "python3" => shell("python3 -c 'import sys; print(sys.executable)'", [])?,
            tool => shell("command -v \"$1\"", [Path::new(tool)])?,
        };
        Ok(symlink(path.trim(), self.bin().join(tool))?)
    }

    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(PROGRAM);
        if self.bare {
            command = Command::new(self.bin().join("dev-servers"));
            command.env("PATH", self.bin());
        }
        for variable in ["NATS_SERVER_BIN", "JSB_TEST_POSTGRES_URL", "RUST_LOG"] {
            command.env_remove(variable);
        }
        command.env("TMPDIR", self.temporary()).stdin(Stdio::null());
        command
    }
}

/// The program while it runs.
pub(crate) struct Running {
    child: Child,
    urls: Lines<BufReader<ChildStdout>>,
}

impl Running {
    pub(crate) fn start(command: &mut Command) -> Result<Self, Box<dyn Error>> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let urls = BufReader::new(child.stdout.take().ok_or("it is piped")?).lines();
        Ok(Self { child, urls })
    }

    /// The port of the next server that it says serves.
    pub(crate) fn next_port(&mut self) -> Result<u16, Box<dyn Error>> {
        port(&self.urls.next().ok_or("it has ended")??)
    }

    pub(crate) fn end(&mut self) -> io::Result<ExitStatus> {
        drop(self.child.stdin.take());
        self.child.wait()
    }

    pub(crate) fn kill(&mut self) -> io::Result<ExitStatus> {
        self.child.kill()?;
        self.child.wait()
    }
}

/// The names of a folder's files.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = files.map(|file| file.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// Runs a line of shell. Programs are written by it and not by us: a child that another thread
/// spawns meanwhile inherits our open files for a moment, and a file open for writing does not run.
fn shell<const N: usize>(line: &str, args: [&Path; N]) -> Result<String, Box<dyn Error>> {
    let output = Command::new("sh").args(["-c", line, "sh"]).args(args).output()?;
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}
