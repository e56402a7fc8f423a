//! Finds out with which compiler and which burn the library is built, for the records of runs.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=RUSTC");
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let said = Command::new(rustc).arg("--version").output().ok();
    if let Some(version) = said.and_then(|said| String::from_utf8(said.stdout).ok()) {
        println!(
            "cargo:rustc-env=RAGTUNE_RUSTC={}",
            version.trim().trim_start_matches("rustc ")
        );
    }
    if let Some((lock, version)) = burn() {
        println!("cargo:rerun-if-changed={}", lock.display());
        println!("cargo:rustc-env=RAGTUNE_BURN={version}");
    }
}

/// The lock file of the build and the version of burn in it: the one above the target folder, else that of the repository.
fn burn() -> Option<(PathBuf, String)> {
    let out = PathBuf::from(env::var_os("OUT_DIR")?);
    let repository = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR")?).join("../..");
    out.ancestors()
        .chain([repository.as_path()])
        .map(|folder| folder.join("Cargo.lock"))
        .find_map(|lock| Some((lock.clone(), locked(&lock)?)))
}

fn locked(lock: &Path) -> Option<String> {
    let text = fs::read_to_string(lock).ok()?;
    let (_, rest) = text.split_once("name = \"burn\"\nversion = \"")?;
    Some(rest.split_once('"')?.0.to_owned())
}
