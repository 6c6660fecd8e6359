//! One function for each rule; CONTRIBUTING and the constitution say why.

use std::collections::BTreeSet;

use super::{Finding, Repository};

/// Lines of a source file: what is longer is two things.
const LINES_MAX: usize = 450;

/// Files that may be longer, each with its reason.
const LONGER: &[(&str, &str)] = &[];

/// Endings of source files.
const SOURCES: &[&str] = &[".rs", ".ts", ".js", ".mjs", ".py", ".pyi"];

/// Marks of work that is not done. Put together here, so that this file has none of them.
const UNFINISHED: &[&str] = &[concat!("to", "do!("), concat!("un", "implemented!("), concat!("db", "g!("), concat!("FIX", "ME")];

/// Beginnings of paths that exist on one machine only.
const MACHINE_PATHS: &[&str] = &[concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/tm", "p/")];

/// What is published: each holds the licences, because each is taken alone.
const PACKAGES: &[&str] = &["protocol", "sdk-rust", "server", "sdk-python", "sdk-js"];

/// Where something must not be used: a directory, and the words.
const PURE: &[(&str, &[&str])] = &[
    ("protocol/src/", &["std::net", "std::time", "std::fs", "tokio"]),
    ("sdk-rust/src/core/", &["std::net", "std::fs", "tokio", "Instant::now", "SystemTime::now"]),
];

/// Source files that are not tests have at most [`LINES_MAX`] lines.
pub(super) fn length(repository: &Repository) -> Vec<Finding> {
    too_long(repository, LONGER)
}

pub(super) fn too_long(repository: &Repository, longer: &[(&str, &str)]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in repository.texts().filter(|(path, text)| is_source(path) && !is_test(path) && !is_generated(text)) {
        let lines = text.lines().count();
        let excepted = longer.iter().any(|(file, _)| *file == path);
        if lines > LINES_MAX && !excepted {
            findings.push(format!("{path}: {lines} lines, at most {LINES_MAX}"));
        } else if lines <= LINES_MAX && excepted {
            findings.push(format!("{path}: is listed as longer than it is"));
        }
    }
    findings
}

/// A file that says so in its first lines comes from elsewhere, and is as long as that makes it.
fn is_generated(text: &str) -> bool {
    text.lines().take(3).any(|line| line.contains("Generated from"))
}

/// Every module begins with a sentence that says what it is.
pub(super) fn module_docs(repository: &Repository) -> Vec<Finding> {
    let modules = repository.texts().filter(|(path, _)| path.ends_with(".rs") && path.split('/').any(|part| part == "src") && !is_test(path));
    modules.filter(|(_, text)| !text.starts_with("//! ")).map(|(path, _)| format!("{path}: does not begin with a module doc")).collect()
}

/// No mark of work that is not done stands in a source.
pub(super) fn unfinished(repository: &Repository) -> Vec<Finding> {
    let sources = repository.texts().filter(|(path, _)| is_source(path));
    sources.flat_map(|(path, text)| lines_with(path, text, UNFINISHED, |_| true)).collect()
}

/// No file names a path of the machine it was made on; tests may.
pub(super) fn machine_paths(repository: &Repository) -> Vec<Finding> {
    let texts = repository.texts().filter(|(path, _)| !is_test(path));
    texts.flat_map(|(path, text)| lines_with(path, text, MACHINE_PATHS, |before| !before.is_some_and(is_path_character))).collect()
}

/// What does no I/O imports none.
pub(super) fn purity(repository: &Repository) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (directory, words) in PURE {
        for (path, text) in repository.texts().filter(|(path, _)| path.starts_with(directory) && path.ends_with(".rs")) {
            let code: String =
                text.lines().map(|line| if line.trim_start().starts_with("//") { "\n".to_owned() } else { format!("{line}\n") }).collect();
            findings.extend(lines_with(path, &code, words, |before| !before.is_some_and(|before| before.is_alphanumeric() || before == '_')));
        }
    }
    findings
}

/// Every spec has its three documents.
pub(super) fn specs(repository: &Repository) -> Vec<Finding> {
    let specs = repository.files.keys().filter_map(|path| {
        let name = path.strip_prefix("specs/")?.split_once('/')?.0;
        let number = name.get(..3)?;
        (number.bytes().all(|byte| byte.is_ascii_digit()) && name[3..].starts_with('-')).then_some(name)
    });
    let specs: BTreeSet<&str> = specs.collect();
    let documents = specs.iter().flat_map(|spec| ["spec.md", "plan.md", "tasks.md"].map(|name| format!("specs/{spec}/{name}")));
    documents.filter(|document| !repository.files.contains_key(document)).map(|document| format!("{document}: is missing")).collect()
}

/// Relative links of markdown lead to something that is there.
pub(super) fn links(repository: &Repository) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in repository.texts().filter(|(path, _)| path.ends_with(".md")) {
        for (line, target) in link_targets(text) {
            let file = target.split(['#', '?']).next().unwrap_or_default();
            let outside = target.contains("://") || target.starts_with("mailto:") || file.is_empty();
            if !outside && !resolved(path, file).is_some_and(|file| repository.has(&file)) {
                findings.push(format!("{path}:{line}: leads nowhere: {target}"));
            }
        }
    }
    findings
}

/// The change log has a place for what is not released yet.
pub(super) fn change_log(repository: &Repository) -> Vec<Finding> {
    match repository.files.get("CHANGELOG.md") {
        Some(Some(text)) if text.lines().any(|line| line.starts_with("## ") && line.contains("Unreleased")) => Vec::new(),
        Some(_) => vec!["CHANGELOG.md: has no section Unreleased".to_owned()],
        None => vec!["CHANGELOG.md: is missing".to_owned()],
    }
}

/// Everything that is published says the one version: a release is one tag.
pub(super) fn versions(repository: &Repository) -> Vec<Finding> {
    let manifest = repository.text("Cargo.toml");
    let Some(version) =
        manifest.split("[workspace.package]").nth(1).and_then(|table| table.lines().find_map(|line| quoted_after(line, "version = ")))
    else {
        return vec!["Cargo.toml: has no version".to_owned()];
    };
    let own =
        manifest.lines().filter(|line| line.starts_with("arqonbus-")).filter_map(|line| Some(("Cargo.toml", quoted_after(line, "version = ")?)));
    let lock = repository.text("sdk-js/package-lock.json");
    let packages = [("sdk-js/package.json", 1, repository.text("sdk-js/package.json")), ("sdk-js/package-lock.json", 2, lock)];
    let npm = packages
        .iter()
        .flat_map(|(path, count, text)| text.lines().filter_map(|line| Some((*path, quoted_after(line, "\"version\": ")?))).take(*count));
    let mut findings: Vec<Finding> =
        own.chain(npm).filter(|(_, said)| *said != version).map(|(path, said)| format!("{path}: says {said}, and not {version}")).collect();
    let crates = repository.texts().filter(|(path, _)| path.ends_with("/Cargo.toml"));
    let inherited = crates.filter(|(_, text)| text.contains("[package]") && !text.contains("\nversion.workspace = true\n"));
    findings.extend(inherited.map(|(path, _)| format!("{path}: has a version of its own")));
    let python = repository.text("sdk-python/pyproject.toml");
    if !python.is_empty() && !python.contains("\ndynamic = [\"version\"]\n") {
        findings.push("sdk-python/pyproject.toml: does not take its version from Cargo.toml".to_owned());
    }
    findings
}

/// What is published holds the licences as they are.
pub(super) fn licences(repository: &Repository) -> Vec<Finding> {
    let mut findings = Vec::new();
    for name in ["LICENSE-APACHE", "LICENSE-MIT"] {
        let licence = repository.text(name);
        let copies = PACKAGES.iter().map(|package| format!("{package}/{name}"));
        findings.extend(copies.filter(|copy| repository.text(copy) != licence).map(|copy| format!("{copy}: is not the licence of the repository")));
    }
    findings
}

/// The text in quotes that follows `key` in a line.
fn quoted_after<'l>(line: &'l str, key: &str) -> Option<&'l str> {
    line.split_once(key)?.1.strip_prefix('"')?.split('"').next()
}

fn is_source(path: &str) -> bool {
    SOURCES.iter().any(|ending| path.ends_with(ending))
}

fn is_test(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    path.split('/').any(|part| part == "tests") || name == "tests.rs" || name.starts_with("test_") || name.contains(".test.")
}

fn is_path_character(character: char) -> bool {
    character.is_alphanumeric() || "_.-/~*{}".contains(character)
}

/// The lines that hold one of `words`, where `counts` agrees about the character before it.
fn lines_with(path: &str, text: &str, words: &[&str], counts: impl Fn(Option<char>) -> bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, line) in text.lines().enumerate() {
        for word in words {
            if line.match_indices(word).any(|(at, _)| counts(line[..at].chars().next_back())) {
                findings.push(format!("{path}:{}: {word}", index + 1));
            }
        }
    }
    findings
}

/// The targets of inline links outside of code, with their lines.
fn link_targets(text: &str) -> Vec<(usize, &str)> {
    let (mut targets, mut fenced) = (Vec::new(), false);
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        if fenced {
            continue;
        }
        for (at, _) in line.match_indices("](") {
            let in_code = line[..at].matches('`').count() % 2 == 1;
            let target = line[at + 2..].split([')', ' ']).next().unwrap_or_default();
            if !in_code {
                targets.push((index + 1, target));
            }
        }
    }
    targets
}

/// A relative link as a path in the repository; none where it leads out of it.
fn resolved(from: &str, link: &str) -> Option<String> {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    if link.starts_with('/') {
        parts.clear();
    }
    for part in link.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}
