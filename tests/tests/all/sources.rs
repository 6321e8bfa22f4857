//! What no source of the workspace may do, whatever it compiles to.

use std::fs;
use std::path::{Path, PathBuf};

/// The crates whose code meets data of others.
const SHIPPED: [&str; 6] = ["jsb-derive", "jsb-runtime", "migrations", "jsb-cli", "demo", "dev-servers"];

/// Where SQL is put together, and why that is no way in. Values are bound everywhere.
const PUT_TOGETHER: [(&str, &str); 7] = [
    // A table's and a column's names, quoted, which the application's own migrations give.
    ("migrations/src/interleave.rs", "ALTER"),
    // A sequence's name, as PostgreSQL gives it for use in SQL.
    ("migrations/src/interleave.rs", "SELECT CASE"),
    // The database's clock and a constant.
    ("jsb-runtime/src/lease.rs", "INSERT"),
    // The name of a parameter, whose list is bound; the outbox's table and columns, by constants.
    ("jsb-runtime/src/dialect.rs", "SELECT"),
    ("jsb-runtime/src/outbox.rs", "UPDATE {TABLE}"),
    ("jsb-runtime/src/outbox/unsent.rs", "SELECT {"),
    // The name of a database of a test server, quoted.
    ("dev-servers/src/postgres.rs", "DATABASE"),
];

const VERBS: [&str; 14] = [
    "SELECT", "INSERT", "UPDATE", "DELETE", "ALTER", "CREATE", "DROP", "TRUNCATE", "PRAGMA", "SET", "WITH", "GRANT",
    "COPY", "LOCK",
];

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace")
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let (folders, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let files = files.into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
    files.chain(folders.iter().flat_map(|folder| sources(folder))).collect()
}

/// The texts that a source gives to `format!`, each with the file's name.
fn formats(file: &Path) -> Vec<(String, String)> {
    let name = file.strip_prefix(workspace()).expect("a file of the workspace").display().to_string();
    let source = fs::read_to_string(file).expect("a source");
    let texts = source.split("format!(").skip(1).filter_map(|rest| rest.trim_start().strip_prefix('"'));
    texts.map(|text| (name.clone(), text.trim_start_matches("\\\"").chars().take(60).collect())).collect()
}

/// Whoever writes `format!("SELECT ..")` for the first time is stopped here, to bind values instead. It sees no SQL that is put
/// together in other ways: those need a reader.
#[test]
fn sql_is_not_formatted() {
    let all = SHIPPED.iter().flat_map(|name| sources(&workspace().join(name).join("src"))).collect::<Vec<_>>();
    assert!(all.len() > 100, "only {} sources were found", all.len());
    let sql: Vec<_> = all
        .iter()
        .flat_map(|file| formats(file))
        .filter(|(_, text)| VERBS.iter().any(|verb| text.starts_with(&format!("{verb} "))))
        .collect();
    let allowed = |(file, text): &(String, String)| {
        PUT_TOGETHER.iter().any(|(excused, words)| file == excused && text.contains(words))
    };
    let found: Vec<_> = sql.iter().filter(|found| !allowed(found)).collect();
    assert!(found.is_empty(), "bind the values: {found:#?}");
    for (file, words) in PUT_TOGETHER {
        let used = sql.iter().any(|(found, text)| found == file && text.contains(words));
        assert!(used, "{file} no longer needs to be excused");
    }
}

/// Lints of the workspace, `unsafe_code = "forbid"` among them, hold only in the crates that ask for them.
#[test]
fn unsafe_code_is_forbidden_in_every_crate() {
    let manifest = fs::read_to_string(workspace().join("Cargo.toml")).expect("a manifest");
    assert!(manifest.contains("\nunsafe_code = \"forbid\"\n"));
    let members = manifest.lines().find_map(|line| line.strip_prefix("members = [")).expect("the members in one line");
    let members: Vec<_> = members.split('"').skip(1).step_by(2).collect();
    assert!(SHIPPED.iter().all(|crate_name| members.contains(crate_name)), "{members:?}");
    for member in members {
        let manifest = fs::read_to_string(workspace().join(member).join("Cargo.toml")).expect("a manifest");
        assert!(manifest.contains("\n[lints]\nworkspace = true\n"), "{member} does not ask for the workspace's lints");
    }
}
