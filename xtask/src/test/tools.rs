//! What the steps need and a fresh machine lacks.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::execute;
use crate::say;

/// Pinned: a newer one may know new lints, and then the same commit passes here and fails there.
const CARGO_DENY: &str = "0.20.2";
const WASM: &str = "wasm32-unknown-unknown";

/// Installs the wasm target where it is missing.
pub(super) fn wasm_target(root: &Path) -> Result<(), String> {
    let libraries = output(root, "rustc", &["--print", "target-libdir", "--target", WASM])?;
    if Path::new(libraries.trim()).is_dir() {
        return Ok(());
    }
    execute(root, &format!("rustup target add {WASM}"), &[])
}

/// Installs cargo-deny into `target/tools` where it is neither there nor on the path.
pub(super) fn cargo_deny(root: &Path) -> Result<(), String> {
    if output(root, "cargo-deny", &["--version"]).is_ok() {
        return Ok(());
    }
    say("cargo-deny is not installed: building it once, which takes some minutes");
    let directory = directory(root);
    execute(root, &format!("cargo install cargo-deny --locked --version {CARGO_DENY} --root {}", directory.display()), &[])
}

/// The program by that name: ours where we installed one, else the one on the path.
pub(super) fn find(root: &Path, program: &str) -> PathBuf {
    let ours = directory(root).join("bin").join(program);
    if ours.is_file() { ours } else { PathBuf::from(program) }
}

fn directory(root: &Path) -> PathBuf {
    crate::target_directory(root).join("tools")
}

fn output(root: &Path, program: &str, words: &[&str]) -> Result<String, String> {
    let output = Command::new(find(root, program)).args(words).current_dir(root).stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("`{program}` cannot be run: {error}"))?;
    if !output.status.success() {
        return Err(format!("`{program} {}`: {}", words.join(" "), String::from_utf8_lossy(&output.stderr).trim()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
