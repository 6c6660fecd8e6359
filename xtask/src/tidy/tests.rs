use super::*;

fn repository(files: &[(&str, &str)]) -> Repository {
    Repository { files: files.iter().map(|(path, text)| ((*path).to_owned(), Some((*text).to_owned()))).collect() }
}

/// Checks that `rule` finds exactly these places.
fn finds(rule: fn(&Repository) -> Vec<Finding>, files: &[(&str, &str)], places: &[&str]) {
    let found = rule(&repository(files));
    assert_eq!(found.len(), places.len(), "{found:?}");
    for (finding, place) in found.iter().zip(places) {
        assert!(finding.starts_with(&format!("{place}:")), "{finding}");
    }
}

#[test]
fn a_long_source_is_found_and_a_long_test_is_not() {
    let (long, short) = ("x\n".repeat(451), "x\n".repeat(450));
    let files = [
        ("a/src/lib.rs", &*long),
        ("a/src/b.rs", &short),
        ("a/tests/b.rs", &long),
        ("a/src/tests.rs", &long),
        ("d/e.py", &long),
        ("README.md", &long),
    ];
    finds(rules::length, &files, &["a/src/lib.rs", "d/e.py"]);
    let excepted = rules::too_long(&repository(&files), &[("a/src/lib.rs", "a reason"), ("a/src/b.rs", "none"), ("d/e.py", "a reason")]);
    assert_eq!(excepted, ["a/src/b.rs: is listed as longer than it is"]);
}

#[test]
fn a_module_without_its_sentence_is_found() {
    let files = [
        ("a/src/lib.rs", "//! It is.\n"),
        ("a/src/b/c.rs", "use std;\n//! Late."),
        ("a/src/b/tests.rs", "use super::*;"),
        ("a/examples/e.rs", "fn main() {}"),
    ];
    finds(rules::module_docs, &files, &["a/src/b/c.rs"]);
}

#[test]
fn marks_of_unfinished_work_are_found_with_their_lines() {
    let marked = concat!("fn a() {\n    to", "do!()\n}\n// FIX", "ME: later\n");
    let files = [("a/src/lib.rs", marked), ("tests/b.py", concat!("# FIX", "ME")), ("a.md", marked), ("c/src/d.rs", "// a todo list")];
    finds(rules::unfinished, &files, &["a/src/lib.rs:2", "a/src/lib.rs:4", "tests/b.py:1"]);
}

#[test]
fn paths_of_one_machine_are_found() {
    let path = concat!("in `/ro", "ot/x`\nand https://example.org", "/wo", "rk/ and ~/wo", "rk/x\ncp /tm", "p/x .");
    finds(rules::machine_paths, &[("README.md", path), ("a/tests/b.rs", path)], &["README.md:1", "README.md:3"]);
}

#[test]
fn input_and_output_in_a_pure_crate_are_found() {
    let impure = "//! Without tokio.\n// std::net is not used\nuse std::time::Instant;\nuse tokio::net;\nlet my_tokio = 1;\n";
    let files =
        [("protocol/src/a.rs", impure), ("server/src/a.rs", impure), ("sdk-rust/src/core/b.rs", "use std::time::Duration;\nInstant::now();\n")];
    finds(rules::purity, &files, &["protocol/src/a.rs:3", "protocol/src/a.rs:4", "sdk-rust/src/core/b.rs:2"]);
}

#[test]
fn a_spec_without_a_document_is_found() {
    let files = [
        ("specs/001-a/spec.md", ""),
        ("specs/001-a/plan.md", ""),
        ("specs/001-a/tasks.md", ""),
        ("specs/002-b/spec.md", ""),
        ("specs/constitution.md", ""),
    ];
    finds(rules::specs, &files, &["specs/002-b/plan.md", "specs/002-b/tasks.md"]);
}

#[test]
fn a_link_that_leads_nowhere_is_found() {
    let page = "[a](b.md) [b](../README.md#top) [c](../src/) [d](https://example.org/x) [e](#here)\n[f](gone.md) ![g](../gone.png \"title\")\n\
                ```\n[h](gone.md)\n```\n`[i](gone.md)` [j](../../out.md)\n";
    let files = [("docs/a.md", page), ("docs/b.md", ""), ("README.md", "[docs](docs) [x](docs/x.md)"), ("src/lib.rs", "")];
    finds(rules::links, &files, &["README.md:1", "docs/a.md:2", "docs/a.md:2", "docs/a.md:6"]);
}

#[test]
fn a_change_log_needs_its_unreleased_section() {
    finds(rules::change_log, &[], &["CHANGELOG.md"]);
    finds(rules::change_log, &[("CHANGELOG.md", "# Changes\n## 0.1.0\n")], &["CHANGELOG.md"]);
    finds(rules::change_log, &[("CHANGELOG.md", "# Changes\n## [Unreleased]\n")], &[]);
}

const MANIFEST: &str =
    "[workspace.package]\nversion = \"1.2.3\"\n[workspace.dependencies]\narqonbus-protocol = { path = \"protocol\", version = \"1.2.3\" }\n";

#[test]
fn a_version_that_differs_is_found() {
    let inherits = "[package]\nname = \"a\"\nversion.workspace = true\n";
    let lock =
        "{\n  \"version\": \"1.2.3\",\n  \"packages\": {\n    \"\": {\n      \"version\": \"1.2.3\"\n    },\n    \"ws\": { \"version\": \"8.0.0\" }";
    let right = [
        ("Cargo.toml", MANIFEST),
        ("protocol/Cargo.toml", inherits),
        ("sdk-js/package.json", "{\n  \"version\": \"1.2.3\",\n"),
        ("sdk-js/package-lock.json", lock),
        ("sdk-python/pyproject.toml", "[project]\ndynamic = [\"version\"]\n"),
    ];
    finds(rules::versions, &right, &[]);
    let (manifest, lock) = (MANIFEST.replace("version = \"1.2.3\" }", "version = \"1.2.2\" }"), lock.replacen("1.2.3", "1.2.2", 1));
    let wrong = [
        ("Cargo.toml", &*manifest),
        ("protocol/Cargo.toml", "[package]\nversion = \"1.2.3\"\n"),
        ("sdk-js/package.json", "{\n  \"version\": \"1.2.4\",\n"),
        ("sdk-js/package-lock.json", &lock),
        ("sdk-python/pyproject.toml", "[project]\nversion = \"1.2.3\"\n"),
    ];
    let places = ["Cargo.toml", "sdk-js/package.json", "sdk-js/package-lock.json", "protocol/Cargo.toml", "sdk-python/pyproject.toml"];
    finds(rules::versions, &wrong, &places);
    finds(rules::versions, &[], &["Cargo.toml"]);
}

#[test]
fn a_package_without_the_licences_is_found() {
    let names = ["protocol", "sdk-rust", "server", "sdk-python", "sdk-js"].map(|package| format!("{package}/LICENSE-MIT"));
    let mut files: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "may")).collect();
    files.push(("LICENSE-MIT", "may"));
    finds(rules::licences, &files, &[]);
    files[1].1 = "may not";
    finds(rules::licences, &files, &["sdk-rust/LICENSE-MIT"]);
}

#[test]
fn every_rule_is_asked() {
    let everything = repository(&[
        ("protocol/src/a.rs", &format!("use tokio;\n{}\n{}", concat!("db", "g!()"), "x\n".repeat(450))),
        ("README.md", concat!("[a](gone) /tm", "p/x")),
        ("specs/001-a/spec.md", ""),
        ("LICENSE-MIT", "may"),
    ]);
    let findings = everything.findings();
    for (name, _) in RULES {
        assert!(findings.iter().any(|finding| finding.ends_with(&format!("[{name}]"))), "{name}: {findings:?}");
    }
}
