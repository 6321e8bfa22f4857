//! What the derive costs at build time: a crate of fifty entities, with and without it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Result, ensure};
use tokio::process::Command;

use crate::bench::Bench;
use crate::report::{Comparison, Target};

const ENTITIES: usize = 50;
/// The entities that every other stage uses.
const WITHOUT: &str = include_str!("../entities/plain.rs");
const WITH: &str = include_str!("../entities/organization.rs");

pub(super) async fn run(bench: &Bench) -> Result<Vec<Comparison>> {
    let root = crate::target().join("bench/derive");
    let without = generate(&root, "without", WITHOUT)?;
    let with = generate(&root, "with", WITH)?;
    if bench.quick {
        // To build all that they stand on takes minutes; these very files are compiled with this program.
        return Ok(Vec::new());
    }
    for package in [&without, &with] {
        build(package).await?;
    }
    let figures = bench.rounds(async || rebuild(&without).await, async || rebuild(&with).await).await?;
    let measure = format!("a crate of {ENTITIES} entities");
    Ok(vec![Comparison::new("derive", measure, "s", figures.0, figures.1, Target::AtMost(1.3))])
}

/// Writes a crate of many entities like this one.
fn generate(root: &Path, name: &str, entity: &str) -> Result<PathBuf> {
    let (package, workspace) = (root.join(name), Path::new(env!("CARGO_MANIFEST_DIR")).join(".."));
    fs::create_dir_all(package.join("src"))?;
    fs::write(package.join("Cargo.toml"), manifest(name, &workspace))?;
    // The same versions as everywhere here.
    fs::copy(workspace.join("Cargo.lock"), package.join("Cargo.lock"))?;
    let mut modules = String::new();
    for number in 1..=ENTITIES {
        modules.push_str(&format!("pub mod entity_{number};\n"));
        let entity = entity
            .replace("\"organizations\"", &format!("\"organizations_{number}\""))
            .replace("resource = \"organization\"", &format!("resource = \"organization_{number}\""))
            .replace("pub(crate)", "pub");
        fs::write(package.join(format!("src/entity_{number}.rs")), entity)?;
    }
    fs::write(package.join("src/lib.rs"), modules)?;
    ensure!(fs::read_dir(package.join("src"))?.count() == ENTITIES + 1, "the crate {name} has other files too");
    Ok(package)
}

/// Both crates have the same dependencies, so that the macro alone is the difference.
fn manifest(name: &str, workspace: &Path) -> String {
    format!(
        "[package]\nname = \"{name}\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[dependencies]\n\
         jsb-runtime = {{ path = \"{}\" }}\n\
         sea-orm = {{ version = \"2.0.4\", default-features = false, features = [\"macros\", \"with-chrono\"] }}\n\n[workspace]\n",
        workspace.join("jsb-runtime").display()
    )
}

/// Builds the crate alone, whose dependencies are built already; the seconds that takes.
async fn rebuild(package: &Path) -> Result<f64> {
    let library = package.join("src/lib.rs");
    fs::write(&library, fs::read(&library)?)?;
    let started = Instant::now();
    build(package).await?;
    Ok(started.elapsed().as_secs_f64())
}

async fn build(package: &Path) -> Result<()> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    let cargo = cargo.args(["build", "--quiet", "--offline"]).current_dir(package);
    let cargo =
        cargo.env("CARGO_INCREMENTAL", "0").env("CARGO_TARGET_DIR", crate::target().join("bench/derive/target"));
    let status = cargo.status().await?;
    ensure!(status.success(), "cargo build in {}: {status}", package.display());
    Ok(())
}
