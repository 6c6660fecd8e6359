//! A bus as a process of its own, for what only a process can suffer: signals, its death, its file descriptors.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::clock::eventually;
use super::{Reach, Scratch};

/// A running `arqonbus serve`. Dropping it kills it.
#[derive(Debug)]
pub struct Process {
    child: Child,
    listen: SocketAddr,
    admin: Option<SocketAddr>,
    scratch: Scratch,
}

impl Process {
    /// Starts one on free ports with a configuration file of these lines.
    #[must_use]
    pub fn start(config: &str) -> Self {
        Self::at("127.0.0.1:0", config)
    }

    /// Starts one at an address.
    #[must_use]
    pub fn at(listen: &str, config: &str) -> Self {
        let scratch = Scratch::new();
        let config_path = scratch.path().join("arqonbus.toml");
        fs::write(&config_path, format!("listen = \"{listen}\"\nadmin = \"127.0.0.1:0\"\n{config}")).expect("a configuration file");
        let log = File::create(scratch.path().join("log")).expect("a log file");
        let mut child = Command::new(binary())
            .args(["serve", "--announce", "--config"])
            .arg(&config_path)
            .env_remove("RUST_BACKTRACE")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("the binary starts");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("a pipe");
        BufReader::new(stdout).read_line(&mut line).expect("a line of text");
        let announced: Value = serde_json::from_str(&line).unwrap_or_else(|_| {
            let log = fs::read_to_string(scratch.path().join("log")).unwrap_or_default();
            panic!("`arqonbus serve --announce` printed {line:?} and logged:\n{log}")
        });
        let address = |name: &str| announced[name].as_str().and_then(|text| text.parse().ok());
        Self { listen: address("listen").expect("an announced address"), admin: address("admin"), child, scratch }
    }

    /// The address of the admin listener.
    #[must_use]
    pub fn admin(&self) -> SocketAddr {
        self.admin.expect("an admin listener")
    }

    /// The process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it logged.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.scratch.path().join("log")).unwrap_or_default()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().cast_signed()).expect("a process id");
        let _ = kill_process(pid, signal);
    }

    /// Whether it runs.
    pub fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Kills it as a power cut would.
    pub fn kill(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Waits for its end.
    pub async fn exit(&mut self) -> ExitStatus {
        eventually("the end of the process", async || self.child.try_wait().expect("a child")).await
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Reach for Process {
    fn address(&self) -> SocketAddr {
        self.listen
    }
}

/// The built `arqonbus`: `ARQONBUS_BIN`, or the one beside this test.
fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("ARQONBUS_BIN") {
        return path.into();
    }
    let test = std::env::current_exe().expect("the path of this test");
    let profile = test.ancestors().nth(2).expect("target/<profile>/deps/<test>");
    let path = profile.join("arqonbus");
    assert!(path.exists(), "{} is missing: run `cargo build -p arqonbus-server` first, or set ARQONBUS_BIN", path.display());
    path
}
