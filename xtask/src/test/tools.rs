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

/// Installs redis-server where it is missing: by the system's packages, for it is written in C and needs nothing of ours.
pub(super) fn redis_server(root: &Path) -> Result<(), String> {
    if output(root, "redis-server", &["--version"]).is_ok() {
        return Ok(());
    }
    let missing =
        |why: &str| format!("the tests start redis-server (7.0 or newer) on ports of their own, and {why}: install it, then run this again");
    if output(root, "apt-get", &["--version"]).is_err() {
        return Err(missing("it is not installed, nor is there an apt-get to install it by"));
    }
    let is_root = output(root, "id", &["-u"])?.trim() == "0";
    if !is_root && output(root, "sudo", &["-n", "true"]).is_err() {
        return Err(missing("it is not installed, and only root may install it"));
    }
    // At that runlevel a package starts no service: the tests need the program, and nothing that listens on its usual port.
    let quiet = "env RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends";
    let prefix = if is_root { "" } else { "sudo -n " };
    execute(root, &format!("{prefix}{quiet} update"), &[])?;
    execute(root, &format!("{prefix}{quiet} install redis-server"), &[])?;
    output(root, "redis-server", &["--version"]).map(drop).map_err(|why| missing(&why))
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
