//! The commands in the documentation, held against the command line, and its links, against what is there.

use std::path::{Path, PathBuf};

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

/// The documentation, and these pages outside of its folder.
fn pages<const N: usize>(others: [&str; N]) -> impl Iterator<Item = PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let docs = std::fs::read_dir(root.join("docs")).expect("the documentation");
    let docs = docs.map(|page| page.expect("a page").path());
    let docs = docs.filter(|page| page.extension().is_some_and(|end| end == "md"));
    docs.chain(others.map(|page| root.join(page)))
}

fn text(page: &Path) -> String {
    std::fs::read_to_string(page).unwrap_or_else(|error| panic!("{}: {error}", page.display()))
}

#[test]
fn every_command_in_the_documentation_is_one() {
    let mut seen = 0;
    for page in pages(["README.md", "demo/README.md"]) {
        for command in commands(&text(&page)) {
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

/// Where a page's links lead, but for those to other sites.
fn links(page: &str) -> impl Iterator<Item = &str> {
    let targets = page.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0));
    targets.filter(|target| !target.contains("://"))
}

/// What GitHub makes of a heading, for links to it.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect()
}

fn has_heading(page: &str, wanted: &str) -> bool {
    page.lines().filter(|line| line.starts_with('#')).any(|line| anchor(line.trim_start_matches('#')) == wanted)
}

#[test]
fn every_link_in_the_documentation_leads_somewhere() {
    let mut seen = 0;
    let others = ["README.md", "ARCHITECTURE.md", "SECURITY.md", "demo/README.md", "tests/README.md", "fuzz/README.md"];
    for page in pages(others) {
        for link in links(&text(&page)) {
            let (file, heading) = link.split_once('#').map_or((link, None), |(file, heading)| (file, Some(heading)));
            let target = if file.is_empty() { page.clone() } else { page.with_file_name(file) };
            assert!(target.exists(), "{}: there is no {link}", page.display());
            let found = heading.is_none_or(|heading| has_heading(&text(&target), heading));
            assert!(found, "{}: there is no heading {link}", page.display());
            seen += 1;
        }
    }
    assert!(seen > 60, "only {seen} links were found");
}
