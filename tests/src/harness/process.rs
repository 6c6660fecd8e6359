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
        Self::with(listen, config, &[])
    }

    /// Starts one at an address, with variables in its environment.
    #[must_use]
    pub fn with(listen: &str, config: &str, variables: &[(String, String)]) -> Self {
        let scratch = Scratch::new();
        let mut child = spawn(&scratch, listen, config, variables);
        let mut line = String::new();
        let stdout = child.stdout.take().expect("a pipe");
        BufReader::new(stdout).read_line(&mut line).expect("a line of text");
        let announced: Value =
            serde_json::from_str(&line).unwrap_or_else(|_| panic!("`arqonbus serve --announce` printed {line:?} and logged:\n{}", log_in(&scratch)));
        let address = |name: &str| announced[name].as_str().and_then(|text| text.parse().ok());
        Self { listen: address("listen").expect("an announced address"), admin: address("admin"), child, scratch }
    }

    /// Starts one that should refuse to; gives its exit code and what it said.
    #[must_use]
    pub fn refused(listen: &str, config: &str) -> (Option<i32>, String) {
        let scratch = Scratch::new();
        let child = spawn(&scratch, listen, config, &[]);
        let mut child = Self { listen: ([127, 0, 0, 1], 0).into(), admin: None, child, scratch };
        let mut announced = String::new();
        // It ends with the process, or with a line where the process wrongly goes on.
        BufReader::new(child.child.stdout.take().expect("a pipe")).read_line(&mut announced).expect("a line of text");
        assert_eq!(announced, "", "it started with {config}");
        (child.child.wait().expect("a child").code(), child.log())
    }

    /// What a command of the same binary prints.
    ///
    /// # Panics
    /// Where it cannot be started.
    #[must_use]
    pub fn run(args: &[&str], variables: &[(String, String)]) -> String {
        let variables = variables.iter().map(|(name, value)| (name, value));
        let output = command().args(args).envs(variables).stdin(Stdio::null()).output().expect("the binary starts");
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
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
        log_in(&self.scratch)
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

fn spawn(scratch: &Scratch, listen: &str, config: &str, variables: &[(String, String)]) -> Child {
    let config_path = scratch.path().join("arqonbus.toml");
    fs::write(&config_path, format!("listen = \"{listen}\"\nadmin = \"127.0.0.1:0\"\n{config}")).expect("a configuration file");
    let log = File::create(scratch.path().join("log")).expect("a log file");
    command()
        .args(["serve", "--announce", "--config"])
        .arg(&config_path)
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .expect("the binary starts")
}

/// The command, without variables of the tests' own: what they are told is no configuration of a server.
fn command() -> Command {
    let ours = std::env::vars_os().map(|(name, _)| name).filter(|name| name.to_string_lossy().starts_with("ARQONBUS_"));
    let mut command = Command::new(binary());
    for name in ours {
        command.env_remove(name);
    }
    command
}

fn log_in(scratch: &Scratch) -> String {
    fs::read_to_string(scratch.path().join("log")).unwrap_or_default()
}

/// The command: `ARQONBUS_BIN`, or the one that was built with these tests and is the same.
fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("ARQONBUS_BIN") {
        return path.into();
    }
    let test = std::env::current_exe().expect("the path of this test");
    let profile = test.ancestors().nth(2).expect("target/<profile>/deps/<test>");
    let path = profile.join("arqonbus-under-test");
    assert!(path.exists(), "{} is missing: run `cargo test -p arqonbus-tests --no-run`, or set ARQONBUS_BIN", path.display());
    path
}
