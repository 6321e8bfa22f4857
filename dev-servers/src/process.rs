//! A server as a process, which does not outlive the program that started it.

use std::{
    fs::{self, File},
    io::{self, Write},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::{
    Error,
    user::{User, command},
};

/// Starts a server and its guard; explained there.
const GUARD: &str = include_str!("guard.sh");

/// How long a server may take to serve; a laden machine is slow.
const STARTUP: Duration = Duration::from_secs(60);

/// How long a server may take to end before it is killed.
const FAREWELL: Duration = Duration::from_secs(10);

/// How often a server is looked at while it starts or ends.
const POLL: Duration = Duration::from_millis(10);

/// A running server. Dropped, it ends.
#[derive(Debug)]
pub(crate) struct Process {
    name: &'static str,
    child: Child,
    guard: ChildStdin,
    farewell: &'static str,
    log: PathBuf,
    started: Instant,
}

/// What [`Process::start`] needs to know.
pub(crate) struct Launch<'a> {
    /// The server's name, for messages.
    pub(crate) name: &'static str,
    pub(crate) binary: &'a Path,
    pub(crate) args: Vec<String>,
    /// What it finds in its environment besides ours.
    pub(crate) environment: &'a [(String, String)],
    /// Whom to run it as.
    pub(crate) user: Option<User>,
    /// The server's own temporary folder, for its log; it goes when we go.
    pub(crate) folder: &'a Path,
    /// The signal that ends the server.
    pub(crate) farewell: &'static str,
}

impl Launch<'_> {
    fn spawn(&self, log: &Path) -> io::Result<Child> {
        let output = File::options().create(true).append(true).open(log)?;
        command("sh", self.user)
            .args(["-c", GUARD, "guard", self.farewell])
            .arg(self.folder)
            .arg(self.binary)
            .args(&self.args)
            .current_dir(self.folder)
            .env("LC_ALL", "C")
            .envs(self.environment.iter().map(|(variable, value)| (variable, value)))
            .stdin(Stdio::piped())
            .stdout(output.try_clone()?)
            .stderr(output)
            // A group of its own: Ctrl-C in the terminal is for the program alone, which needs its
            // servers to end well.
            .process_group(0)
            .spawn()
    }
}

impl Process {
    pub(crate) fn start(launch: Launch<'_>) -> Result<Self, Error> {
        let log = launch.folder.join("server.log");
        let mut child = launch.spawn(&log).map_err(Error::io(format!("start {}", launch.name)))?;
        let guard = child.stdin.take().expect("standard input is piped");
        let Launch { name, farewell, .. } = launch;
        Ok(Self { name, child, guard, farewell, log, started: Instant::now() })
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Gives the server as much time as a start.
    pub(crate) fn begin_waiting(&mut self) {
        self.started = Instant::now();
    }

    /// One turn of waiting for a server that does not serve yet: an error once there is nothing
    /// left to wait for.
    pub(crate) async fn still_starting(&mut self) -> Result<(), Error> {
        let server = self.name;
        if self.has_exited() {
            return Err(Error::Ended { server, log: self.end_of_log() });
        }
        if self.started.elapsed() > STARTUP {
            let seconds = STARTUP.as_secs();
            return Err(Error::NotServing { server, seconds, log: self.end_of_log() });
        }
        tokio::time::sleep(POLL).await;
        Ok(())
    }

    /// Sends a signal to the server.
    pub(crate) fn signal(&mut self, signal: &str) -> io::Result<()> {
        writeln!(self.guard, "{signal}")
    }

    /// What the server has printed so far.
    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Ends the server by this signal, without holding up the runtime.
    pub(crate) async fn stop(mut self, signal: &'static str) {
        blocking(move || self.end(signal)).await;
    }

    fn end(&mut self, signal: &str) {
        let asked = !self.has_exited() && writeln!(self.guard, "{signal}").is_ok();
        let deadline = Instant::now() + if asked { FAREWELL } else { Duration::ZERO };
        while !self.has_exited() && Instant::now() < deadline {
            thread::sleep(POLL);
        }
        // Errors here mean that the server has ended, or that its guard has.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = writeln!(self.guard, "release");
    }

    fn end_of_log(&self) -> String {
        last_lines(self.log().as_bytes())
    }

    fn has_exited(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|status| status.is_some())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end(self.farewell);
    }
}

/// Runs what blocks outside of the runtime's own threads.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("the work neither panics nor is cancelled")
}

/// The last lines of what a program printed: enough for the reason that it ended.
pub(crate) fn last_lines(output: &[u8]) -> String {
    let text = String::from_utf8_lossy(output);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}
