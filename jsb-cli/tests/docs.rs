//! The commands in the documentation, held against the command line.

use std::path::Path;

use clap::error::ErrorKind;
use clap::{Args as _, Command};

/// Every line of a page that calls `jsb`, in a code block or quoted within a sentence.
fn commands(page: &str) -> Vec<String> {
    let quoted = page.split('`').skip(1).step_by(2).filter(|text| text.starts_with("jsb "));
    let typed = page.lines().map(|line| line.trim_start_matches("$ ").replace("cargo run -p demo -- jsb", "jsb"));
    let typed = typed.filter_map(|line| {
        let at = line.find("jsb ").filter(|at| is_environment(&line[..*at]))?;
        Some(line[at..].to_owned())
    });
    quoted.map(str::to_owned).chain(typed).collect()
}

/// Whether this may stand before a command: variables that are set for it.
fn is_environment(text: &str) -> bool {
    text.split_whitespace().all(|word| word.contains('=') && word.starts_with(char::is_uppercase))
}

/// The words of the command, without what the shell keeps for itself.
fn words(command: &str) -> Vec<String> {
    let command = command.split([';', '#', '|', '>']).next().unwrap_or_default();
    shell_words::split(command).unwrap_or_else(|error| panic!("{command}: {error}"))
}

#[test]
fn every_command_in_the_documentation_is_one() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let docs = std::fs::read_dir(root.join("docs")).expect("the documentation");
    let pages = docs.map(|page| page.expect("a page").path());
    let pages = pages.chain([root.join("README.md"), root.join("demo/README.md")]);
    let mut seen = 0;
    for page in pages.filter(|page| page.extension().is_some_and(|end| end == "md")) {
        for command in commands(&std::fs::read_to_string(&page).expect("text")) {
            match jsb_cli::Cli::augment_args(Command::new("jsb")).try_get_matches_from(words(&command)) {
                Err(error) if error.kind() != ErrorKind::DisplayHelp => {
                    panic!("{}: {command}\n{error}", page.display())
                }
                _ => seen += 1,
            }
        }
    }
    assert!(seen > 30, "only {seen} commands were found");
}
