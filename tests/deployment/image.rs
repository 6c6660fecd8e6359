//! The Dockerfile. `.ci/container` builds the image and runs it, where there is a network.

use crate::{check_configuration, read, root, said};

/// One instruction, continued lines joined.
struct Instruction {
    name: String,
    words: Vec<String>,
}

impl Instruction {
    fn rest(&self) -> String {
        self.words.join(" ")
    }

    /// The words of a list in JSON's notation.
    fn list(&self) -> Vec<String> {
        serde_json::from_str(&self.rest()).unwrap_or_else(|error| panic!("{} {}: {error}", self.name, self.rest()))
    }
}

fn instructions() -> Vec<Instruction> {
    let text = read("Dockerfile");
    let lines: String = text.lines().filter(|line| !line.trim_start().starts_with('#')).map(|line| format!("{line}\n")).collect();
    let joined = lines.replace("\\\n", " ");
    let split = joined.lines().filter(|line| !line.trim().is_empty()).map(|line| {
        let mut words = line.split_whitespace().map(str::to_owned);
        Instruction { name: words.next().unwrap(), words: words.collect() }
    });
    split.collect()
}

fn all(name: &str) -> Vec<Instruction> {
    instructions().into_iter().filter(|instruction| instruction.name == name).collect()
}

fn only(name: &str) -> Instruction {
    let mut found = all(name);
    assert_eq!(found.len(), 1, "{name} is there once");
    found.remove(0)
}

/// The variables of the last stage.
fn variables() -> Vec<(String, String)> {
    let last = all("ENV").pop().expect("variables");
    last.words.iter().map(|pair| pair.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned())).unwrap()).collect()
}

#[test]
fn the_toolchain_is_that_of_the_repository() {
    let toolchain = read("rust-toolchain.toml");
    let channel = toolchain.lines().find_map(|line| line.strip_prefix("channel = ")).unwrap().trim_matches('"');
    let build = &all("FROM")[0];
    assert_eq!(build.words, [format!("docker.io/library/rust:{channel}-alpine").as_str(), "AS", "build"]);
    assert_eq!(all("ENV")[0].rest(), format!("RUSTUP_TOOLCHAIN={channel}"));
}

#[test]
fn the_image_holds_the_command_and_nothing_else() {
    let stages = all("FROM");
    assert_eq!(stages.last().unwrap().rest(), "scratch");
    let copied = all("COPY").pop().unwrap();
    assert_eq!(copied.words, ["--from=build", "/arqonbus", "/arqonbus"]);
    assert!(all("RUN").pop().unwrap().rest().ends_with("cp target/release/arqonbus /arqonbus"));
    assert_eq!(only("ENTRYPOINT").list(), ["/arqonbus"]);
    let user = only("USER").rest();
    assert!(user.split(':').all(|id| id.parse::<u32>().is_ok_and(|id| id != 0)), "{user}: there is no user database, and it is not root");
}

#[test]
fn the_bus_takes_its_configuration_and_stop_signal() {
    let checked = check_configuration(&variables(), &[]);
    assert!(checked.status.success(), "{}", said(&checked));
    let help = crate::arqonbus().args(only("CMD").list()).arg("--help").output().unwrap();
    assert!(help.status.success(), "{}", said(&help));
    assert_eq!(only("STOPSIGNAL").rest(), "SIGTERM");
    // Each is needed: nothing listens to the outside by default.
    for (name, _) in variables().iter().filter(|(name, _)| name != "ARQONBUS_ADMIN") {
        let without: Vec<_> = variables().into_iter().filter(|(other, _)| other != name).collect();
        let same = name == "ARQONBUS_LISTEN";
        assert_eq!(check_configuration(&without, &[]).status.success(), same, "without {name}");
    }
}

#[test]
fn the_ports_are_those_that_are_listened_to() {
    let variables = variables();
    let ports = ["ARQONBUS_LISTEN", "ARQONBUS_ADMIN"].map(|name| {
        let (_, address) = variables.iter().find(|(variable, _)| variable == name).unwrap();
        address.rsplit_once(':').unwrap().1.to_owned()
    });
    assert_eq!(only("EXPOSE").words, ports);
}

#[test]
fn what_is_built_here_stays_here() {
    let ignored = read(".dockerignore");
    for line in ["target", ".git", "**/node_modules", "**/dist", "**/.venv"] {
        assert!(ignored.lines().any(|ignored| ignored == line), "{line}");
    }
    assert!(root().join(".ci/container").is_file());
}
