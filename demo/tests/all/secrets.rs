//! No password is shown by anybody: not in a log that tells everything, not in an error, not in an answer.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use dev_servers::{NatsOptions, NatsServer, Postgres, free_port};
use sea_orm::{ConnectionTrait as _, Database};
use tokio::process::{Child, Command};

use crate::program::{self, ANSWERS_WITHIN, until};

/// A password with what stands in a URL in another form.
struct Password {
    plain: &'static str,
    encoded: &'static str,
}

const DATABASE: Password = Password { plain: "d@ta b/se:%é", encoded: "d%40ta%20b%2Fse%3A%25%C3%A9" };
const NATS: Password = Password { plain: "n@ts, w/rd:%é", encoded: "n%40ts%2C%20w%2Frd%3A%25%C3%A9" };
const WRONG: Password = Password { plain: "wr@ng /:%é", encoded: "wr%40ng%20%2F%3A%25%C3%A9" };
const UNREADABLE: Password = Password { plain: "unre@dable", encoded: "unre%40dable" };
/// In a parameter of the URL that sqlx does not know.
const PARAMETER: Password = Password { plain: "p@ram /:%é", encoded: "p%40ram%20%2F%3A%25%C3%A9" };

/// What would betray a password: itself, in a URL, in a header, in a Rust literal, in bytes.
fn betrayals() -> Vec<String> {
    let mut betrayals = Vec::new();
    for Password { plain, encoded } in [DATABASE, NATS, WRONG, UNREADABLE, PARAMETER] {
        betrayals.extend([plain.to_owned(), encoded.to_owned(), encoded.to_lowercase()]);
        // Their beginnings too, which nothing else here has: a part of a password is one too many.
        betrayals.extend([plain.chars().take(6).collect(), encoded.chars().take(6).collect()]);
        betrayals.extend([STANDARD.encode(plain), STANDARD_NO_PAD.encode(plain), URL_SAFE_NO_PAD.encode(plain)]);
        betrayals.push(format!("{:?}", plain.as_bytes()).trim_matches(['[', ']']).to_owned());
    }
    betrayals
}

/// Everything that was said, by whom.
#[derive(Default)]
struct Heard(Vec<(String, String)>);

impl Heard {
    fn note(&mut self, who: &str, said: impl Into<String>) {
        self.0.push((who.to_owned(), said.into()));
    }

    fn betrays_nothing(&self) {
        for betrayal in betrayals() {
            for (who, said) in &self.0 {
                let line = said.lines().find(|line| line.contains(&betrayal));
                assert_eq!(line, None, "{who} shows a password, as {betrayal:?}");
            }
        }
    }

    fn said(&self, words: &str) -> bool {
        self.0.iter().any(|(_, said)| said.contains(words))
    }

    /// Lets a command that comes to an end by itself do so.
    async fn run(&mut self, who: &str, mut command: Command) {
        let ended = tokio::time::timeout(ANSWERS_WITHIN, command.output()).await;
        let output = ended.unwrap_or_else(|_| panic!("{who} does not end")).expect("it runs");
        self.note(who, String::from_utf8_lossy(&[output.stdout, output.stderr].concat()));
        assert!(!self.0.last().expect("what it said").1.is_empty(), "{who} said nothing");
    }
}

/// The demo with these secrets in its environment, telling all it can.
fn demo(database: &str, nats: &str) -> Command {
    let mut demo = program::demo();
    demo.env("RUST_LOG", "trace").env("RUST_BACKTRACE", "1").env("DATABASE_URL", database).env("NATS_URL", nats);
    demo
}

/// System A, which ends with its test.
struct System {
    process: Child,
    port: u16,
}

impl System {
    fn start(mut demo: Command, log: &Path) -> Self {
        let port = free_port();
        let log = File::create(log).expect("a log");
        let errors = log.try_clone().expect("the same log");
        demo.args(["system-a", "--port", &port.to_string()]).stdout(log).stderr(errors);
        Self { process: demo.spawn().expect("it starts"), port }
    }

    fn ask(&self, request: &str) -> Option<String> {
        let mut server = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        server.set_read_timeout(Some(ANSWERS_WITHIN)).expect("a deadline");
        server.write_all(request.as_bytes()).ok()?;
        let mut answer = String::new();
        server.read_to_string(&mut answer).ok()?;
        (!answer.is_empty()).then_some(answer)
    }

    /// Asks for a page until it says this.
    async fn until(&self, page: &str, words: &str) -> String {
        let request = format!("GET {page} HTTP/1.0\r\n\r\n");
        let is_wanted = |answer: &Option<String>| answer.as_ref().is_some_and(|answer| answer.contains(words));
        until(page, async || self.ask(&request), is_wanted).await.expect("it was looked at")
    }

    /// Ends it, and with it its log.
    async fn end(mut self) {
        self.process.kill().await.expect("it ran");
    }
}

/// A database that asks its user for a password.
async fn guarded_database() -> (Postgres, String) {
    let postgres = Postgres::start_own().await.expect("PostgreSQL starts");
    let url = postgres.create_database("system_a").await.expect("a database");
    let db = Database::connect(&url).await.expect("a connection");
    let guard = format!(
        "CREATE ROLE keeper LOGIN SUPERUSER PASSWORD '{}';
         DO $$ BEGIN EXECUTE format(
             'COPY (VALUES (''host all postgres all trust''), (''host all all all scram-sha-256'')) TO %L',
             current_setting('hba_file')); END $$;
         SELECT pg_reload_conf()",
        DATABASE.plain
    );
    db.execute_unprepared(&guard).await.expect("a user with a password");
    let address = url.split_once('@').expect("a user in the URL").1.to_owned();
    (postgres, address)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_password_is_shown_whatever_happens() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_postgres, address) = guarded_database().await;
    let config = format!(r#"authorization {{ user: "a", password: "{}" }}"#, NATS.plain);
    let server = NatsServer::start(NatsOptions { config, ..Default::default() }).await.expect("nats-server starts");
    let parameter = format!("sslpassword={}", PARAMETER.encoded);
    let database = |password: &Password| format!("postgres://keeper:{}@{address}?{parameter}", password.encoded);
    let nats = |password: &Password, port: u16| format!("nats://a:{}@127.0.0.1:{port}", password.encoded);
    let (good_database, good_nats) = (database(&DATABASE), nats(&NATS, server.port()));
    let mut heard = Heard::default();

    // All is well.
    let log = folder.path().join("well");
    let system = System::start(demo(&good_database, &good_nats), &log);
    heard.note("/health", system.until("/health", r#""jetstream_connected":true"#).await);
    let body = r#"{"organization": {"name": "Acme", "domain": "acme.example"}}"#;
    let length = body.len();
    let post = format!(
        "POST /organizations HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    heard.note("a save", system.ask(&post).expect("an answer"));
    heard.note("/sync_status", system.until("/sync_status", r#""sent_events_count":1"#).await);
    for command in ["status", "health", "provision"] {
        let mut jsb = demo(&good_database, &good_nats);
        jsb.args(["jsb", "--app", "system_a", "--destination", "system_b", command]);
        heard.run(&format!("jsb {command}"), jsb).await;
    }
    system.end().await;
    heard.note("a system that is well", std::fs::read_to_string(&log).expect("a log"));
    assert!(heard.said("201 Created") && heard.said("TRACE") && heard.said("connected to NATS"), "nothing was tried");

    // NATS is away, or refuses the password.
    let log = folder.path().join("away");
    let system = System::start(demo(&good_database, &nats(&NATS, free_port())), &log);
    heard.note("/health", system.until("/health", "NATS is away").await);
    system.end().await;
    heard.note("a system without NATS", std::fs::read_to_string(&log).expect("a log"));
    let failing = [
        ("NATS refuses", good_database.clone(), nats(&WRONG, server.port()), "refuses this app's credentials"),
        ("PostgreSQL refuses", database(&WRONG), good_nats.clone(), "password authentication failed"),
        (
            "no such server",
            format!("postgres://keeper:{}@127.0.0.1:{}/x?{parameter}", WRONG.encoded, free_port()),
            good_nats.clone(),
            "no PostgreSQL answered at 127.0.0.1:",
        ),
        (
            "no such port",
            format!("postgres://keeper:{}@127.0.0.1:port/x", UNREADABLE.encoded),
            good_nats.clone(),
            "error: ",
        ),
        ("no such kind", format!("mystery://keeper:{}@127.0.0.1/x", UNREADABLE.encoded), good_nats.clone(), "error: "),
        ("no URL", format!("{}@", UNREADABLE.plain), good_nats.clone(), "error: "),
        ("bad NATS port", good_database.clone(), format!("nats://a:{}@127.0.0.1:port", UNREADABLE.encoded), "NATS_URL"),
        ("not encoded", good_database.clone(), format!("nats://a:{}/@127.0.0.1", UNREADABLE.plain), "NATS_URL"),
    ];
    for (why, database, nats, says) in failing {
        for args in
            [&["system-a", "--port", "0"][..], &["jsb", "--app", "system_a", "--destination", "system_b", "status"]]
        {
            let mut command = demo(&database, &nats);
            command.args(args);
            heard.run(&format!("{why}: {args:?}"), command).await;
            // `jsb status` succeeds with what else it sees, and shows why it does not see the tables.
            if args[0] == "system-a" || why == "no such server" {
                assert!(heard.0.last().is_some_and(|(_, said)| said.contains(says)), "{why}: {:?}", heard.0.last());
            }
        }
    }

    // Help shows the variables, and not what is in them.
    for args in [
        &["system-a", "--help"][..],
        &["pair", "--help"],
        &["provision", "--help"],
        &["jsb", "status", "--help"],
        &["system-a", "--nonsense"],
    ] {
        let mut command = demo(&good_database, &good_nats);
        command.env("DATABASE_A", &good_database).env("DATABASE_B", &good_database);
        command.args(args);
        heard.run(&format!("{args:?}"), command).await;
    }
    heard.betrays_nothing();
}
