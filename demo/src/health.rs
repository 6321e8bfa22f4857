//! Asks a running system how it is: the health check of a container that holds nothing but this program.

use std::io::{Write as _, stdout};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use axum::http::Uri;
use clap::Args;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Above what the database gets before a system calls it away.
const ANSWERS_WITHIN: Duration = Duration::from_secs(15);

/// Whom to ask.
#[derive(Args)]
pub(crate) struct HealthArgs {
    /// The page to ask for, by plain HTTP
    #[arg(long, default_value = "http://127.0.0.1:3000/health")]
    url: Uri,
}

/// Shows what the system says of itself.
///
/// # Errors
///
/// When it does not answer, or does not answer with 200.
pub(crate) async fn run(HealthArgs { url }: HealthArgs) -> anyhow::Result<()> {
    let answer = tokio::time::timeout(ANSWERS_WITHIN, get(&url)).await;
    let answer = answer.map_err(anyhow::Error::from).flatten().with_context(|| format!("no answer from {url}"))?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    writeln!(stdout(), "{body}")?;
    let status = head.lines().next().unwrap_or_default();
    ensure!(status.split(' ').nth(1) == Some("200"), "{url} answers `{status}`");
    Ok(())
}

/// HTTP 1.0, so that the answer ends with the connection.
async fn get(url: &Uri) -> anyhow::Result<String> {
    let (Some("http"), Some(host)) = (url.scheme_str(), url.host()) else {
        bail!("the URL must be of the form http://host:port/path");
    };
    let host = host.trim_matches(['[', ']']);
    let mut connection = TcpStream::connect((host, url.port_u16().unwrap_or(80))).await?;
    let path = url.path_and_query().map_or("/", |path| path.as_str());
    connection.write_all(format!("GET {path} HTTP/1.0\r\nHost: {host}\r\n\r\n").as_bytes()).await?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await?;
    Ok(answer)
}
