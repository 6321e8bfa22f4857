//! What strangers may send, and what they may hear.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;

use dev_servers::{NatsOptions, NatsServer, Postgres, free_port};
use sea_orm::{ConnectionTrait as _, Database};
use serde_json::Value;
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_served_is_refused_as_json() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = format!("sqlite://{}", folder.path().join("a.sqlite").display());
    let nats = NatsServer::start(NatsOptions::default()).await.expect("nats-server starts");
    let system = System::start(&file, &nats).await;
    assert_eq!(system.post(FINE).status, 201);

    // Ids that name no row, and paths that name nothing.
    let long = "9".repeat(10_000);
    let ids = [
        "abc",
        "-1",
        "0",
        "9223372036854775807",
        "9223372036854775808",
        "18446744073709551616",
        "1e3",
        "1.0",
        "0x1",
        "%00",
        "1%00",
        "1/2",
        "",
        "%20",
        "1%20",
        "%ff",
        "..",
        "1;drop%20table%20users",
        "1'--",
        "NaN",
        "null",
        &long,
    ];
    for id in ids {
        for method in ["GET", "DELETE"] {
            system.ask(method, &format!("/organizations/{id}")).is_refused(&[404]);
        }
        let change = system.try_ask("PATCH", &format!("/users/{id}"), Some(("application/json", br#"{"user": {}}"#)));
        change.expect("an answer").is_refused(&[404]);
    }
    for (method, path) in
        [("DELETE", "/organizations"), ("POST", "/organizations/1"), ("BREW", "/users"), ("POST", "/health")]
    {
        system.ask(method, path).is_refused(&[405]);
    }
    for query in ["?id=%00", "?page=-1&page=x", "?';--", "?%ff=%"] {
        assert_eq!(system.ask("GET", &format!("/organizations{query}")).status, 200, "a query says nothing here");
    }

    // Bodies that are no organization.
    for kind in ["", "text/plain", "application/x-www-form-urlencoded", "application/jso", "\u{fc}"] {
        let answer = system.try_ask("POST", "/organizations", Some((kind, FINE.as_bytes())));
        answer.expect("an answer").is_refused(&[415]);
    }
    let deep = "[".repeat(100_000);
    let nested = |depth| organization(&format!("{}1{}", r#"{"a":"#.repeat(depth), "}".repeat(depth)));
    let malformed = [
        "",
        "{",
        "null",
        "[]",
        "3",
        "\"text\"",
        "{}",
        r#"{"organization": null}"#,
        r#"{"organization": []}"#,
        r#"{"user": {}}"#,
        r#"{"organization": {}} trailing"#,
        "\u{feff}{}",
        &deep,
        &nested(50),
        &nested(100_000),
    ];
    for body in malformed {
        system.post(body).is_refused(&[400, 422]);
    }
    system.post(b"{\"organization\": {\"name\": \"\xff\xfe\"}}").is_refused(&[400]);
    let names = [
        r#""\u0000""#,
        r#""\ud800""#,
        r#""\udc00\ud800""#,
        "\"\u{1}\"",
        "1",
        "1e400",
        "-1e400",
        "true",
        "[]",
        "{}",
        "null",
        "\"\"",
        "\" \t\"",
        &format!("\"{}\"", "x".repeat(1_000_000)),
        &format!("\"{}\"", "\\u0041".repeat(100_000)),
        &"1".repeat(100_000),
    ];
    for name in names {
        system.post(organization(name)).is_refused(&[400, 422]);
    }
    for field in [r#""active": "yes""#, r#""active": 1"#, r#""domain": 1"#, r#""domain": "acme.example""#] {
        let body = format!(r#"{{"organization": {{"name": "x", "domain": "x.example", {field}}}}}"#);
        system.post(body).is_refused(&[400, 422]);
    }
    for id in ["9223372036854775808", "-1", "1e3", "1.5", "\"1\"", "null", "[1]", "99"] {
        let body = format!(r#"{{"user": {{"organization_id": {id}, "name": "x", "email": "x@x.example"}}}}"#);
        let answer = system.try_ask("POST", "/users", Some(("application/json", body.as_bytes())));
        answer.expect("an answer").is_refused(&[400, 422]);
    }
    // One byte more than is read.
    system.post("x".repeat(1024 * 1024 + 1)).is_refused(&[413]);

    // Of a key that is there twice the last counts, as everywhere in JSON; and it still serves.
    let twice = system.post(r#"{"organization": {"name": 1, "name": "Twice", "domain": "twice.example"}}"#);
    assert!(twice.status == 201 && twice.body.contains("Twice"), "{twice:?}");
    // What is not known is ignored, whatever it says.
    let unknown = r#"{"organization": {"name": "Strange", "domain": "strange.example", "note": "\u0000"}}"#;
    assert_eq!(system.post(unknown).status, 201);
    let all: Value = serde_json::from_str(&system.ask("GET", "/organizations").body).expect("JSON");
    assert_eq!(all.as_array().map(Vec::len), Some(3), "only what was answered with 201 is there");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_clients_are_cut_off_and_the_others_are_served() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = format!("sqlite://{}", folder.path().join("a.sqlite").display());
    let nats = NatsServer::start(NatsOptions::default()).await.expect("nats-server starts");
    let system = System::start(&file, &nats).await;

    let mut headers = system.send("GET /organizations HTTP/1.1\r\nHost: x\r\nX-");
    let body = system.send(
        "POST /organizations HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{",
    );
    assert_eq!(system.ask("GET", "/organizations").status, 200, "others are served meanwhile");
    Answer::read(body).expect("an answer before the deadline").is_refused(&[408]);
    let mut rest = Vec::new();
    // Either way it is over, and before the deadline that the connection has.
    let ended = headers.read_to_end(&mut rest).is_ok() && rest.is_empty();
    assert!(ended, "{}", shown(&rest));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_goes_wrong_inside_stays_inside() {
    let nats = NatsServer::start(NatsOptions::default()).await.expect("nats-server starts");
    let mut postgres = Postgres::start_own().await.expect("PostgreSQL starts");
    let url = postgres.create_database("system_a").await.expect("a database");
    let system = System::start(&url, &nats).await;
    assert_eq!(system.post(FINE).status, 201);
    system.post(FINE).is_refused(&[422]);

    let db = Database::connect(&url).await.expect("a connection");
    db.execute_unprepared("ALTER TABLE users RENAME TO gone").await.expect("no table");
    system.ask("GET", "/users").is_refused(&[500]);
    let change = system.try_ask("PATCH", "/users/1", Some(("application/json", br#"{"user": {"name": "x"}}"#)));
    change.expect("an answer").is_refused(&[500]);
    db.execute_unprepared("ALTER TABLE organizations ADD CONSTRAINT odd CHECK (name <> 'odd')").await.expect("a check");
    let odd = r#"{"organization": {"name": "odd", "domain": "odd.example"}}"#;
    system.post(odd).is_refused(&[500]);
    drop(db);

    postgres.stop().await.expect("PostgreSQL stops");
    system.until("/organizations", 503).await.is_refused(&[503]);
    system.post(FINE).is_refused(&[503]);
    postgres.restart().await.expect("PostgreSQL starts again");
    system.until("/organizations", 200).await;
}

/// What is called `Gone` goes with the commit, as if the other side deleted it right after.
const GOES_AT_COMMIT: &str = "
    CREATE FUNCTION go() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        EXECUTE format('DELETE FROM %I WHERE id = $1', TG_TABLE_NAME) USING NEW.id;
        RETURN NULL;
    END $$;
    CREATE CONSTRAINT TRIGGER go AFTER INSERT OR UPDATE ON organizations DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW WHEN (NEW.name = 'Gone') EXECUTE FUNCTION go();
    CREATE CONSTRAINT TRIGGER go AFTER INSERT OR UPDATE ON users DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW WHEN (NEW.name = 'Gone') EXECUTE FUNCTION go()";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_saved_is_answered_whatever_comes_next() {
    let nats = NatsServer::start(NatsOptions::default()).await.expect("nats-server starts");
    let postgres = Postgres::start_own().await.expect("PostgreSQL starts");
    let url = postgres.create_database("system_a").await.expect("a database");
    let system = System::start(&url, &nats).await;
    let db = Database::connect(&url).await.expect("a connection");
    db.execute_unprepared(GOES_AT_COMMIT).await.expect("the triggers");
    let save = |method, path, body: &str| {
        let answer = system.try_ask(method, path, Some(("application/json", body.as_bytes())));
        answer.unwrap_or_else(|| panic!("no answer to {method} {path}"))
    };

    let (gone, gone_user) = (r#"{"organization": {"name": "Gone"}}"#, r#"{"user": {"name": "Gone"}}"#);
    let saves = [
        ("POST", "/organizations", FINE, 201),
        ("POST", "/organizations", r#"{"organization": {"name": "Gone", "domain": "gone.acme.example"}}"#, 201),
        ("POST", "/organizations", r#"{"organization": {"name": "Other", "domain": "other.acme.example"}}"#, 201),
        ("PATCH", "/organizations/5", gone, 200),
        ("POST", "/users", r#"{"user": {"organization_id": 1, "name": "Gone", "email": "gone@x.example"}}"#, 201),
        ("POST", "/users", r#"{"user": {"organization_id": 1, "name": "Ann", "email": "ann@x.example"}}"#, 201),
        ("PATCH", "/users/3", gone_user, 200),
    ];
    for (method, path, body, status) in saves {
        let answer = save(method, path, body);
        assert_eq!(answer.status, status, "{method} {path} {body}: {answer:?}");
        assert!(answer.body.contains("acme.example"), "the organization is missing: {answer:?}");
    }

    // A user is saved even where its organization cannot be read afterwards.
    db.execute_unprepared("ALTER TABLE organizations RENAME TO elsewhere").await.expect("another name");
    let eve = save("POST", "/users", r#"{"user": {"organization_id": 1, "name": "Eve", "email": "eve@x.example"}}"#);
    assert!(eve.status == 201 && eve.body.contains(r#""organization":null"#), "{eve:?}");
}
