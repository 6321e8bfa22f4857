//! The configuration of nats-server under least privilege, read by nats-server itself.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use dev_servers::{NatsOptions, NatsServer};

use super::compose::{RESTRICTIVE, services};
use super::read;
use crate::program::demo;

/// The nats-server that every test runs on.
pub(crate) async fn binary() -> PathBuf {
    let server = NatsServer::start(NatsOptions::default()).await.expect("nats-server");
    server.binary().to_owned()
}

/// The variables that the compose file gives to nats-server.
fn variables() -> BTreeMap<String, String> {
    let nats = services(RESTRICTIVE).into_iter().find(|service| service.name == "nats");
    nats.expect("the compose file has a nats-server").environment
}

/// Puts both files into a folder, changed.
pub(crate) fn write_config(folder: &Path, change: impl Fn(&str) -> String) {
    for file in ["nats.conf", "users.conf"] {
        std::fs::write(folder.join(file), change(&read(&format!("nats/{file}")))).expect("it can be written");
    }
}

/// Lets nats-server read the folder's configuration, with these variables and no others.
fn test(binary: &Path, folder: &Path, variables: &BTreeMap<String, String>) -> Output {
    let mut command = Command::new(binary);
    command.arg("-t").arg("-c").arg(folder.join("nats.conf")).env_clear().envs(variables);
    command.output().expect("nats-server runs")
}

#[tokio::test]
async fn nats_server_takes_it_with_the_variables_of_the_compose_file_and_no_fewer() {
    let (binary, folder) = (binary().await, tempfile::tempdir().expect("a folder"));
    write_config(folder.path(), str::to_owned);
    let answer = test(&binary, folder.path(), &variables());
    assert!(answer.status.success(), "{answer:?}");
    for name in variables().keys() {
        let mut fewer = variables();
        fewer.remove(name);
        assert!(!test(&binary, folder.path(), &fewer).status.success(), "nothing uses {name}");
    }
}

#[tokio::test]
async fn nats_server_refuses_every_misspelt_key() {
    let (binary, folder) = (binary().await, tempfile::tempdir().expect("a folder"));
    let words: Vec<String> =
        ["nats.conf", "users.conf"].iter().flat_map(|file| keys(&read(&format!("nats/{file}")))).collect();
    assert!(words.iter().any(|key| key == "accounts") && words.iter().any(|key| key == "store_dir"), "{words:?}");
    for word in words {
        let misspelt = |text: &str| {
            text.replace(&format!("{word}:"), &format!("{word}x:")).replace(&format!("{word} "), &format!("{word}x "))
        };
        write_config(folder.path(), misspelt);
        let answer = test(&binary, folder.path(), &variables());
        assert!(!answer.status.success(), "nobody would see it if {word} were misspelt");
    }
}

#[test]
fn the_users_are_those_of_the_command() {
    let mut command = demo().into_std();
    command.args(["jsb", "permissions", "--pair", "system_a,system_b", "--auth", "variables"]);
    let printed = command.output().expect("the command runs");
    let users = read("nats/users.conf");
    let users: Vec<&str> = users.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(String::from_utf8_lossy(&printed.stdout).lines().collect::<Vec<_>>(), users);
}

/// The words that a value, a block or a list follows.
fn keys(text: &str) -> Vec<String> {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    let words = lines.flat_map(|line| line.split([' ', ',']).map(str::trim).collect::<Vec<_>>());
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    let mut keys: Vec<String> = words
        .windows(2)
        .filter(|pair| pair[0].ends_with(':') || pair[1] == "{" || pair[0] == "include")
        .map(|pair| pair[0].trim_end_matches(':').to_owned())
        .filter(|word| word.chars().all(|c| c.is_ascii_lowercase() || c == '_') && !word.is_empty())
        .collect();
    keys.sort();
    keys.dedup();
    keys
}
