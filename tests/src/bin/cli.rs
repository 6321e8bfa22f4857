//! The operators' command line, as an application links it that makes the commands its own: it knows the test entities.

use std::process::ExitCode;

use jsb_tests as _;

#[tokio::main]
async fn main() -> ExitCode {
    jsb_cli::main().await
}
