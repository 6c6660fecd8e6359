//! What the bus is shipped with, held against the bus: the image, the systemd unit, the workflows of the hosted CI.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test program")]

mod image;
mod unit;
mod workflows;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The repository.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The command that was built with these tests.
fn arqonbus() -> Command {
    let binary = std::env::var_os("ARQONBUS_BIN").map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_arqonbus-under-test")), PathBuf::from);
    Command::new(binary)
}

/// What the command says about a configuration of these variables only.
fn check_configuration(variables: &[(String, String)], words: &[&str]) -> Output {
    let elsewhere = std::env::temp_dir();
    let mut command = arqonbus();
    command.args(["config", "check"]).args(words).env_clear().envs(variables.iter().cloned()).current_dir(elsewhere);
    command.output().expect("the command runs")
}

/// Whether a program is at hand. Where it is not, that is said, so that nobody takes the check for done.
fn at_hand(program: &str, check: &str) -> bool {
    let found = Command::new(program).arg("--version").stdin(Stdio::null()).output().is_ok_and(|output| output.status.success());
    if !found {
        eprintln!("\n*** SKIPPED: {check}: there is no {program} ***\n");
    }
    found
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
