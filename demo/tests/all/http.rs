//! What strangers may send, and what they may hear.

mod failures;
mod refused;
mod slow;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;

use dev_servers::{NatsOptions, NatsServer, free_port};
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Child;

use crate::program::{ANSWERS_WITHIN, demo, until};

/// Words of SQL, of the drivers, of the tables and of the machine, none of which is a client's business.
const INTERNALS: [&str; 23] = [
    "select",
    "insert",
    "update ",
    "where",
    "constraint",
    "_key",
    "relation",
    "table",
    "organizations",
    "users",
    "sqlx",
    "sqlite",
    "postgres",
    "database error",
    "driver",
    "pool",
    "sea_orm",
    "rust",
    "panicked",
    "src/",
    "/tmp",
    "127.0.0.1",
    "no such",
];

/// System A, which ends with its test.
struct System {
    _process: Child,
    port: u16,
}

impl System {
    /// On a SQLite database and a server of its own, which last as long as what is given back with it.
    async fn on_sqlite() -> (TempDir, NatsServer, Self) {
        let folder = tempfile::tempdir().expect("a folder");
        let file = format!("sqlite://{}", folder.path().join("a.sqlite").display());
        let nats = NatsServer::start(NatsOptions::default()).await.expect("nats-server starts");
        let system = Self::start(&file, &nats).await;
        (folder, nats, system)
    }

    /// Starts it, and waits until it lives and its database answers.
    async fn start(database: &str, nats: &NatsServer) -> Self {
        let port = free_port();
        let process = demo()
            .args(["system-a", "--port", &port.to_string(), "--database-url", database])
            .args(["--nats-url", &format!("nats://127.0.0.1:{}", nats.port())])
            .spawn()
            .expect("the system starts");
        let system = Self { _process: process, port };
        system.until("/health", 200).await;
        system
    }

    async fn until(&self, path: &str, status: u16) -> Answer {
        let is_wanted = |answer: &Option<Answer>| answer.as_ref().is_some_and(|answer| answer.status == status);
        until(path, async || self.try_ask("GET", path, None), is_wanted).await.expect("it was looked at")
    }

    fn connect(&self) -> Option<TcpStream> {
        let client = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        client.set_read_timeout(Some(ANSWERS_WITHIN)).expect("a deadline");
        Some(client)
    }

    /// Sends what may be no more than the beginning of a request.
    fn send(&self, request: &str) -> TcpStream {
        let mut client = self.connect().expect("a connection");
        client.write_all(request.as_bytes()).expect("it listens");
        client
    }

    fn try_ask(&self, method: &str, path: &str, body: Option<(&str, &[u8])>) -> Option<Answer> {
        let mut request = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n").into_bytes();
        let (kind, body) = body.unwrap_or_default();
        if !kind.is_empty() {
            request.extend(format!("Content-Type: {kind}\r\n").bytes());
        }
        request.extend(format!("Content-Length: {}\r\n\r\n", body.len()).bytes());
        request.extend(body);
        let mut client = self.connect()?;
        // A server that refuses a body need not read it to the end.
        let _ = client.write_all(&request);
        Answer::read(client)
    }

    fn ask(&self, method: &str, path: &str) -> Answer {
        self.try_ask(method, path, None).unwrap_or_else(|| panic!("no answer to {method} {path}"))
    }

    fn post(&self, body: impl AsRef<[u8]>) -> Answer {
        let body = body.as_ref();
        let answer = self.try_ask("POST", "/organizations", Some(("application/json", body)));
        answer.unwrap_or_else(|| panic!("no answer to {}", shown(body)))
    }
}

fn shown(body: &[u8]) -> String {
    String::from_utf8_lossy(&body[..body.len().min(200)]).into_owned()
}

#[derive(Debug)]
struct Answer {
    status: u16,
    body: String,
}

impl Answer {
    fn read(client: TcpStream) -> Option<Self> {
        let mut client = BufReader::new(client);
        let (mut line, mut length) = (String::new(), 0);
        client.read_line(&mut line).ok()?;
        let status = line.split(' ').nth(1)?.parse().ok()?;
        loop {
            line.clear();
            client.read_line(&mut line).ok()?;
            match line.trim_end().split_once(": ") {
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => length = value.parse().ok()?,
                Some(_) => {}
                None => break,
            }
        }
        let mut body = vec![0; length];
        client.read_exact(&mut body).ok()?;
        Some(Self { status, body: String::from_utf8(body).ok()? })
    }

    /// The answer is a refusal as demo/README.md has it: of this status, JSON, short, and without internals.
    fn is_refused(&self, statuses: &[u16]) -> &Self {
        let json: Value = serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"));
        assert!(statuses.contains(&self.status), "{self:?}, not {statuses:?}");
        assert!(json["error"].is_string() || json["errors"].is_object(), "{self:?}");
        assert!(self.body.len() < 2_000, "{} bytes of a reason", self.body.len());
        let said = self.body.to_lowercase();
        let leaked: Vec<_> = INTERNALS.iter().filter(|word| said.contains(*word)).collect();
        assert!(leaked.is_empty(), "{leaked:?} in {}", self.body);
        self
    }
}

const FINE: &str = r#"{"organization": {"name": "Acme", "domain": "acme.example"}}"#;

fn organization(name: &str) -> String {
    format!(r#"{{"organization": {{"name": {name}, "domain": "other.example"}}}}"#)
}
