//! The systemd unit.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use arqonbus_server::config::Config;

use crate::{arqonbus, at_hand, check_configuration, read, said};

const UNIT: &str = "deploy/arqonbus.service";
/// Tenths of what `systemd-analyze security` counts: 0 is shut in entirely, 100 is not at all.
const EXPOSURE_MAX: &str = "15";

/// The keys of the unit with their last values.
fn keys() -> BTreeMap<String, String> {
    read(UNIT).lines().filter_map(|line| line.split_once('=')).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn number(name: &str) -> u64 {
    keys()[name].parse().unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[test]
fn its_command_line_is_one_of_ours() {
    let keys = keys();
    let words: Vec<&str> = keys["ExecStart"].split_whitespace().collect();
    let ["/usr/local/bin/arqonbus", "serve", "--config", file] = words[..] else { panic!("{words:?}") };
    assert!(file.starts_with("/etc/"));
    let empty = std::env::temp_dir().join(format!("arqonbus-unit-{}.toml", std::process::id()));
    fs::write(&empty, "").unwrap();
    let checked = check_configuration(&[], &["--config", empty.to_str().unwrap()]);
    fs::remove_file(&empty).unwrap();
    assert!(checked.status.success(), "{}", said(&checked));
    let help = arqonbus().args(["serve", "--help"]).output().unwrap();
    assert!(said(&help).contains("--config"));
}

#[test]
fn its_bounds_are_wider_than_those_of_the_bus() {
    let config = Config::default();
    assert!(number("TimeoutStopSec") * 1_000 > config.drain.deadline_ms, "systemd would kill a drain");
    // Each connection is a descriptor, and there are listeners, stores and logs beside them.
    assert!(number("LimitNOFILE") >= config.limits.connections as u64 + 1_000, "descriptors would run out first");
    assert_eq!(keys()["Restart"], "on-failure", "an exit that was asked for is no failure");
}

#[test]
fn systemd_understands_it() {
    if !at_hand("systemd-analyze", "the unit was not verified") {
        return;
    }
    let directory = std::env::temp_dir().join(format!("arqonbus-unit-{}", std::process::id()));
    fs::create_dir_all(&directory).unwrap();
    let unit = directory.join("arqonbus.service");
    // Verified is also whether the command is there.
    let here = arqonbus().get_program().to_str().unwrap().to_owned();
    fs::write(&unit, read(UNIT).replace("/usr/local/bin/arqonbus", &here)).unwrap();
    let verified = Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&unit).output().unwrap();
    let secured = Command::new("systemd-analyze").args(["security", "--offline=true", "--threshold", EXPOSURE_MAX]).arg(&unit).output().unwrap();
    let misspelt = directory.join("misspelt.service");
    fs::write(&misspelt, read(UNIT).replace("/usr/local/bin/arqonbus", &here).replace("ProtectSystem=strict", "ProtectSystem=strikt")).unwrap();
    let noticed = Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&misspelt).output().unwrap();
    fs::remove_dir_all(&directory).unwrap();
    let about_us = |text: &str| text.lines().filter(|line| line.contains("arqonbus.service")).map(str::to_owned).collect::<Vec<_>>();
    assert!(verified.status.success() && about_us(&said(&verified)).is_empty(), "{}", said(&verified));
    assert!(said(&noticed).contains("strikt"), "a mistake is not noticed: {}", said(&noticed));
    assert!(secured.status.success(), "it may do more than it must:\n{}", said(&secured));
}
