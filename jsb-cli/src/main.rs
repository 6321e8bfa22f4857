//! The operators' command line by itself, which knows no application's entities.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    jsb_cli::main().await
}
