//! Autobahn's fuzzing client against the server's own accept loop, handshake, frame codec and outbox, with an echo behind them.
//!
//! Autobahn needs a Python 2.7. Where there is none, or its packages cannot be installed, this says so and passes; with
//! `ARQONBUS_AUTOBAHN=required` it fails instead.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test program")]

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};

const REQUIREMENTS: &str = include_str!("requirements.txt");
/// Starts `wstest` with its packages, which are not where Python looks for packages.
const RUN: &str = "import site, sys; site.addsitedir(sys.argv.pop(1)); from autobahntestsuite.wstest import run; run()";
/// All cases but those about compression, which is not offered.
const CASES: usize = 301;

#[test]
fn autobahn_finds_nothing_to_complain_about() {
    let (python, packages) = match python().and_then(|python| installed(&python).map(|packages| (python, packages))) {
        Ok(found) => found,
        Err(why) if std::env::var_os("ARQONBUS_AUTOBAHN").is_some_and(|wish| wish == "required") => panic!("{why}"),
        Err(why) => {
            eprintln!("\n*** SKIPPED: Autobahn did not run: {why} ***\n");
            return;
        }
    };
    let echo = Echo::start();
    let directory = work("run");
    let spec = directory.join("fuzzingclient.json");
    let reports = directory.join("reports");
    let _ = fs::remove_dir_all(&reports);
    let servers = json!([{"agent": "arqonbus", "url": format!("ws://{}", echo.address), "options": {"version": 18}}]);
    let content = json!({
        "options": {"failByDrop": false}, "outdir": reports, "servers": servers,
        "cases": ["*"], "exclude-cases": ["12.*", "13.*"], "exclude-agent-cases": {}
    });
    fs::write(&spec, content.to_string()).unwrap();
    let mut client = python.command();
    let output = client.args(["-c", RUN]).arg(&packages).args(["-m", "fuzzingclient", "-s"]).arg(&spec).current_dir(&directory).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    judge(&reports.join("index.json"));
}

/// Every case must be right, and so must be the way its connection is closed.
fn judge(index: &Path) {
    let index: Value = serde_json::from_str(&fs::read_to_string(index).expect("a report")).unwrap();
    let cases = index["arqonbus"].as_object().expect("a report about us");
    let mut by_verdict: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for (case, report) in cases {
        by_verdict.entry((report["behavior"].as_str().unwrap(), report["behaviorClose"].as_str().unwrap())).or_default().push(case);
    }
    let right =
        |(behaviour, close): &(&str, &str)| ["OK", "NON-STRICT", "INFORMATIONAL"].contains(behaviour) && ["OK", "INFORMATIONAL"].contains(close);
    let wrong: Vec<_> = by_verdict.iter().filter(|(verdict, _)| !right(verdict)).collect();
    for ((behaviour, close), cases) in &by_verdict {
        eprintln!("Autobahn: {} cases {behaviour}, closed {close}", cases.len());
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(cases.len(), CASES);
}

/// A Python 2.7.
struct Python {
    program: PathBuf,
    /// Which one, where pyenv chooses.
    pyenv_version: Option<String>,
}

impl Python {
    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        if let Some(version) = &self.pyenv_version {
            command.env("PYENV_VERSION", version);
        }
        command
    }

    fn works(&self) -> bool {
        self.command().args(["-c", "import sys; sys.exit(sys.version_info[:2] != (2, 7))"]).output().is_ok_and(|output| output.status.success())
    }
}

fn python() -> Result<Python, String> {
    let program = std::env::var_os("ARQONBUS_PYTHON2").map_or_else(|| "python2.7".into(), PathBuf::from);
    let versions = Command::new("pyenv").args(["versions", "--bare"]).output().map(|output| output.stdout).unwrap_or_default();
    let versions = String::from_utf8_lossy(&versions)
        .lines()
        .map(|line| line.trim().to_owned())
        .filter(|version| version.starts_with("2.7"))
        .collect::<Vec<_>>();
    let mut candidates =
        std::iter::once(None).chain(versions.into_iter().map(Some)).map(|pyenv_version| Python { program: program.clone(), pyenv_version });
    candidates.find(Python::works).ok_or_else(|| format!("no Python 2.7: {} does not run, nor does pyenv have one", program.display()))
}

/// Installs the packages once, and gives their place.
fn installed(python: &Python) -> Result<PathBuf, String> {
    let packages = work("packages");
    let marker = packages.join("installed.txt");
    if fs::read_to_string(&marker).is_ok_and(|installed| installed == REQUIREMENTS) {
        return Ok(packages);
    }
    let requirements = work("run").join("requirements.txt");
    fs::write(&requirements, REQUIREMENTS).unwrap();
    let mut pip = python.command();
    let pip =
        pip.args(["-m", "pip", "install", "--quiet", "--upgrade", "--no-deps", "--disable-pip-version-check", "--target"]).arg(&packages).arg("-r");
    let output = pip.arg(&requirements).output().map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(format!("its packages cannot be installed:\n{}", said(&output)));
    }
    fs::write(marker, REQUIREMENTS).unwrap();
    Ok(packages)
}

fn said(output: &Output) -> String {
    format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A directory of this test under `target`.
fn work(name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("autobahn").join(name);
    fs::create_dir_all(&directory).unwrap();
    directory
}

/// The server's transport with an echo behind it, on a thread of its own; it ends with the test.
struct Echo {
    address: SocketAddr,
}

impl Echo {
    fn start() -> Self {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                arqonbus_server::transport::echo::serve(listener, std::future::pending::<()>()).await.expect("the echo goes on");
            });
        });
        Self { address }
    }
}
