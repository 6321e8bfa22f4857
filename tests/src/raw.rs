//! A NATS client that says word for word what a test wants. The server answers one connection in order, so all that it
//! denied is known as soon as it has answered a ping: nothing is waited for in vain.

use std::collections::VecDeque;
use std::net::Ipv4Addr;

use serde_json::{Value as Json, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::wait::DEADLINE;

/// A connection of one user.
pub struct Raw {
    stream: BufReader<TcpStream>,
    user: String,
    subscriptions: usize,
    denied: Vec<String>,
    messages: VecDeque<RawMessage>,
}

/// A message as it came.
#[derive(Clone, Debug)]
pub struct RawMessage {
    /// Its subject.
    pub subject: String,
    /// Where an answer is awaited, or what acknowledges it.
    pub reply: Option<String>,
    /// Its headers as one text, with the status in the first line.
    pub headers: String,
    /// Its body.
    pub body: String,
}

impl Raw {
    /// Connects as a user that may subscribe below `_INBOX.{user}`.
    pub async fn connect(port: u16, user: &str, password: &str) -> Self {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.expect("a connection");
        let mut raw = Self {
            stream: BufReader::new(stream),
            user: user.to_owned(),
            subscriptions: 0,
            denied: Vec::new(),
            messages: VecDeque::new(),
        };
        let options = json!({"user": user, "pass": password, "headers": true, "verbose": false, "pedantic": false});
        raw.send(&format!("CONNECT {options}\r\n")).await;
        raw.subscribe(&format!("_INBOX.{user}.>")).await;
        assert_eq!(raw.denials().await, Vec::<String>::new());
        raw
    }

    /// Publishes.
    pub async fn publish(&mut self, subject: &str, body: &str) {
        self.send(&format!("PUB {subject} {}\r\n{body}\r\n", body.len())).await;
    }

    /// Publishes and says where to answer.
    pub async fn publish_with_reply(&mut self, subject: &str, reply: &str, body: &str) {
        self.send(&format!("PUB {subject} {reply} {}\r\n{body}\r\n", body.len())).await;
    }

    /// Publishes with headers that no client would send, and waits until a stream has stored it; its sequence.
    pub async fn store(&mut self, subject: &str, headers: &[u8], body: &str) -> u64 {
        let reply = format!("_INBOX.{}.{}", self.user, uuid::Uuid::new_v4().simple());
        let head = format!("HPUB {subject} {reply} {} {}\r\n", headers.len(), headers.len() + body.len());
        let message = [head.as_bytes(), headers, body.as_bytes(), b"\r\n"].concat();
        self.stream.write_all(&message).await.expect("a server that listens");
        let answer: Json = serde_json::from_str(&self.message().await.body).expect("an acknowledgement");
        answer["seq"].as_u64().unwrap_or_else(|| panic!("it was not stored: {answer}"))
    }

    /// Subscribes.
    pub async fn subscribe(&mut self, subject: &str) {
        self.subscriptions += 1;
        self.send(&format!("SUB {subject} {}\r\n", self.subscriptions)).await;
    }

    /// Asks and waits for the first answer.
    pub async fn ask(&mut self, subject: &str, body: &str) -> RawMessage {
        let reply = format!("_INBOX.{}.{}", self.user, uuid::Uuid::new_v4().simple());
        self.publish_with_reply(subject, &reply, body).await;
        self.message().await
    }

    /// Asks for JSON.
    pub async fn ask_json(&mut self, subject: &str, body: &str) -> Json {
        let answer = self.ask(subject, body).await;
        serde_json::from_str(&answer.body).unwrap_or_else(|error| panic!("{subject}: {error}: {answer:?}"))
    }

    /// The next message.
    pub async fn message(&mut self) -> RawMessage {
        let user = self.user.clone();
        let next = async {
            while self.messages.is_empty() {
                assert_ne!(self.hear().await, "PONG", "nobody asked");
                assert_eq!(self.denied, Vec::<String>::new(), "no message comes after a denial");
            }
            self.messages.pop_front().expect("a message")
        };
        tokio::time::timeout(DEADLINE, next).await.unwrap_or_else(|_| panic!("{user}: no message within {DEADLINE:?}"))
    }

    /// What was denied of all that was said so far and not asked about before, as `publish SUBJECT` or `subscribe SUBJECT`.
    pub async fn denials(&mut self) -> Vec<String> {
        self.send("PING\r\n").await;
        let answered = async { while self.hear().await != "PONG" {} };
        tokio::time::timeout(DEADLINE, answered).await.expect("an answer to a ping");
        std::mem::take(&mut self.denied)
    }

    async fn send(&mut self, words: &str) {
        self.stream.write_all(words.as_bytes()).await.expect("a server that listens");
    }

    /// Takes one word of the server, and gives its name.
    async fn hear(&mut self) -> String {
        let mut line = String::new();
        assert_ne!(self.stream.read_line(&mut line).await.expect("a line"), 0, "{}: the server hung up", self.user);
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["MSG", subject, _, reply @ .., size] => self.read(subject, reply, 0, size).await,
            ["HMSG", subject, _, reply @ .., headers, size] => {
                let headers = headers.parse().expect("a size");
                self.read(subject, reply, headers, size).await;
            }
            ["-ERR", ..] => self.denied.push(denial(&line).unwrap_or_else(|| panic!("{}: {line}", self.user))),
            ["PING"] => self.send("PONG\r\n").await,
            _ => {}
        }
        words.first().map(|word| (*word).to_owned()).unwrap_or_default()
    }

    async fn read(&mut self, subject: &str, reply: &[&str], headers: usize, size: &str) {
        let size: usize = size.parse().expect("a size");
        let mut bytes = vec![0; size + "\r\n".len()];
        self.stream.read_exact(&mut bytes).await.expect("a message");
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
        self.messages.push_back(RawMessage {
            subject: subject.to_owned(),
            reply: reply.first().map(|reply| (*reply).to_owned()),
            headers: text(&bytes[..headers]),
            body: text(&bytes[headers..size]),
        });
    }
}

/// What an error says that it denied.
fn denial(line: &str) -> Option<String> {
    let subject = line.split('"').nth(1)?;
    let what = line.to_ascii_lowercase();
    if what.contains("violation for publish to") {
        Some(format!("publish {subject}"))
    } else if what.contains("violation for subscription to") {
        Some(format!("subscribe {subject}"))
    } else {
        None
    }
}
