//! The commands in the documentation, held against the command line.

use std::path::Path;
use std::process::Command;

/// Every line of a page that calls `jsb`, in a code block or quoted within a sentence.
fn commands(page: &str) -> Vec<String> {
    let quoted = page.split('`').skip(1).step_by(2).filter(|text| text.starts_with("jsb "));
    let typed = page.lines().map(|line| line.trim_start_matches("$ ").trim());
    let typed =
        typed.filter_map(|line| line.find("jsb ").filter(|at| is_environment(&line[..*at])).map(|at| &line[at..]));
    quoted.chain(typed).map(str::to_owned).collect()
}

/// Whether this may stand before a command: variables that are set for it.
fn is_environment(text: &str) -> bool {
    text.split_whitespace().all(|word| word.contains('=') && word.chars().next().is_some_and(char::is_uppercase))
}

/// The arguments, without what the shell keeps for itself; placeholders stand for a value.
fn arguments(command: &str) -> Vec<String> {
    let command = command.split([';', '#', '|', '>']).next().unwrap_or_default();
    let words = shell_words::split(command).unwrap_or_else(|error| panic!("{command}: {error}"));
    words.into_iter().skip(1).filter(|word| word != ".." && !word.starts_with('[') && !word.ends_with(']')).collect()
}

#[test]
fn every_command_in_the_documentation_is_one() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let docs = std::fs::read_dir(root.join("docs")).expect("the documentation");
    let pages =
        docs.map(|page| page.expect("a page").path()).chain([root.join("README.md"), root.join("demo/README.md")]);
    let mut seen = 0;
    for page in pages.filter(|page| page.extension().is_some_and(|end| end == "md")) {
        for command in commands(&std::fs::read_to_string(&page).expect("text")) {
            // `--help` comes last, so everything before it is read first.
            let help = Command::new(env!("CARGO_BIN_EXE_jsb")).args(arguments(&command)).arg("--help").output();
            let help = help.expect("jsb runs");
            assert!(help.status.success(), "{}: {command}\n{}", page.display(), String::from_utf8_lossy(&help.stderr));
            seen += 1;
        }
    }
    assert!(seen > 30, "only {seen} commands were found");
}
