//! The workflows of the hosted CI: what can be wrong in them is found here and not after a push.

use std::collections::BTreeSet;
use std::fs;
use std::process::{Command, Stdio};

use saphyr::{LoadableYamlNode, Scalar, Yaml};
use serde_json::{Map, Value};

use crate::{read, root};

const DIRECTORY: &str = ".github/workflows";
/// Keys of a job and of a step that we use; another one is a slip, or has to be added here.
const JOB_KEYS: &[&str] = &["if", "needs", "strategy", "runs-on", "timeout-minutes", "environment", "permissions", "env", "steps"];
const STEP_KEYS: &[&str] = &["id", "if", "uses", "with", "run", "env", "working-directory"];
/// What `${{ … }}` may ask for beside `matrix` and `steps`.
const CONTEXTS: &[&str] = &["github.repository", "github.ref_name", "secrets.GITHUB_TOKEN"];

/// Every workflow by its name.
fn workflows() -> Vec<(String, Value)> {
    let mut names: Vec<String> =
        fs::read_dir(root().join(DIRECTORY)).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    let read = names.into_iter().map(|name| {
        let text = read(&format!("{DIRECTORY}/{name}"));
        let documents = Yaml::load_from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(documents.len(), 1, "{name}");
        (name, json(&documents[0]))
    });
    read.collect()
}

fn json(yaml: &Yaml<'_>) -> Value {
    match yaml {
        Yaml::Value(Scalar::Boolean(value)) => (*value).into(),
        Yaml::Value(Scalar::Integer(value)) => (*value).into(),
        Yaml::Value(Scalar::FloatingPoint(value)) => panic!("{value}: a version is quoted, or 3.10 becomes 3.1"),
        Yaml::Value(Scalar::String(value)) => value.as_ref().into(),
        Yaml::Value(Scalar::Null) => Value::Null,
        Yaml::Sequence(items) => items.iter().map(json).collect(),
        Yaml::Mapping(members) => Value::Object(members.iter().map(|(name, value)| (name.as_str().unwrap().to_owned(), json(value))).collect()),
        other @ (Yaml::Representation(..) | Yaml::Tagged(..) | Yaml::Alias(_) | Yaml::BadValue) => panic!("not expected in a workflow: {other:?}"),
    }
}

fn object<'v>(value: &'v Value, place: &str) -> &'v Map<String, Value> {
    value.as_object().unwrap_or_else(|| panic!("{place} is no mapping"))
}

/// Calls `look` with every job, its name and the place for messages.
fn each_job(mut look: impl FnMut(&str, &str, &Map<String, Value>, &Value)) {
    let workflows = workflows();
    assert!(workflows.len() >= 4, "workflows are there");
    for (file, workflow) in &workflows {
        for (name, job) in object(&workflow["jobs"], file) {
            let place = format!("{file}: {name}");
            look(&place, name, object(job, &place), workflow);
        }
    }
}

/// Calls `look` with every step and its place.
fn each_step(mut look: impl FnMut(&str, &Map<String, Value>, &Map<String, Value>)) {
    each_job(|place, _, job, _| {
        for (number, step) in (1..).zip(job["steps"].as_array().unwrap()) {
            let place = format!("{place}, step {number}");
            look(&place, object(step, &place), job);
        }
    });
}

/// The values of one key of a job's matrix.
fn matrix(job: &Map<String, Value>, key: &str) -> Vec<Value> {
    let Some(matrix) = job.get("strategy").map(|strategy| &strategy["matrix"]) else { return Vec::new() };
    let listed = matrix.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    let included = matrix.get("include").and_then(Value::as_array).into_iter().flatten().filter_map(|one| one.get(key).cloned());
    listed.into_iter().chain(included).collect()
}

#[test]
fn jobs_are_bounded_and_may_do_little() {
    each_job(|place, _, job, workflow| {
        assert_eq!(workflow["permissions"], serde_json::json!({"contents": "read"}), "{place}: what a workflow may do is to read");
        assert!(job.keys().all(|key| JOB_KEYS.contains(&key.as_str())), "{place}: {:?}", job.keys());
        assert!(job["timeout-minutes"].as_u64().is_some_and(|minutes| minutes <= 90), "{place} ends in time");
        assert!(job["runs-on"].is_string(), "{place}");
        let writes = job.get("permissions").is_some_and(|wanted| wanted.as_object().unwrap().values().any(|wanted| wanted == "write"));
        let by_tag = workflow["on"]["push"].get("tags").is_some();
        assert!(!writes || by_tag, "{place}: only a tag publishes");
    });
}

#[test]
fn jobs_need_jobs_that_stand_before_them() {
    each_job(|place, name, job, workflow| {
        let jobs = workflow["jobs"].as_object().unwrap();
        // In this order there is no circle, and a reader finds the way.
        let before: BTreeSet<&str> = jobs.keys().map(String::as_str).take_while(|other| *other != name).collect();
        for needed in job.get("needs").into_iter().flat_map(|needs| needs.as_array().cloned().unwrap_or_else(|| vec![needs.clone()])) {
            assert!(before.contains(needed.as_str().unwrap()), "{place}: {needed}");
        }
    });
}

#[test]
fn steps_do_one_thing_by_actions_of_a_version() {
    each_step(|place, step, _| {
        assert!(step.keys().all(|key| STEP_KEYS.contains(&key.as_str())), "{place}: {:?}", step.keys());
        assert!(step.contains_key("uses") != step.contains_key("run"), "{place} uses or runs");
        assert!(!step.contains_key("with") || step.contains_key("uses"), "{place}");
        if let Some(action) = step.get("uses") {
            let (name, version) = action.as_str().unwrap().split_once('@').unwrap_or_else(|| panic!("{place}: {action} has no version"));
            assert!(name.split('/').count() == 2 && (version.starts_with('v') || version.starts_with("release/v")), "{place}: {action}");
        }
    });
}

#[test]
fn expressions_ask_for_what_is_there() {
    each_job(|place, _, job, _| {
        let ids: Vec<&str> = job["steps"].as_array().unwrap().iter().filter_map(|step| step["id"].as_str()).collect();
        let text = serde_json::to_string(job).unwrap();
        for expression in text.split("${{").skip(1).map(|rest| rest.split("}}").next().unwrap()) {
            for word in
                expression.split(|character: char| !(character.is_alphanumeric() || "._-".contains(character))).filter(|word| word.contains('.'))
            {
                let known = match word.split_once('.').unwrap() {
                    ("matrix", key) => !matrix(job, key).is_empty(),
                    ("steps", rest) => ids.contains(&rest.split('.').next().unwrap()),
                    _ => CONTEXTS.contains(&word) || word.chars().all(|character| character.is_ascii_digit() || character == '.'),
                };
                assert!(known, "{place}: {word}");
            }
        }
    });
}

#[test]
fn what_they_run_is_there_and_is_a_shell_script() {
    each_step(|place, step, _| {
        let Some(script) = step.get("run").and_then(Value::as_str) else { return };
        let shell = replaced(script);
        let parsed = Command::new("bash").args(["-n", "-c", &shell]).stdin(Stdio::null()).output().unwrap();
        assert!(parsed.status.success(), "{place}: {}", String::from_utf8_lossy(&parsed.stderr));
        for word in shell.split_whitespace().filter(|word| word.contains('/') && !word.contains(['$', '@', '*', ':', '"'])) {
            // What a step makes is no file of the repository.
            if ["sdk-python/", "sdk-js/", ".ci/", "tests/", "deploy/"].iter().any(|directory| word.starts_with(directory)) {
                assert!(root().join(word).is_file(), "{place}: {word}");
            }
        }
    });
}

/// A script with a word in place of each expression.
fn replaced(script: &str) -> String {
    let mut parts = script.split("${{");
    let first = parts.next().unwrap().to_owned();
    parts.fold(first, |shell, part| format!("{shell}expression{}", part.split_once("}}").unwrap().1))
}

#[test]
fn what_is_downloaded_was_uploaded() {
    let (mut up, mut down) = (BTreeSet::new(), BTreeSet::new());
    each_step(|_, step, job| {
        let (Some(action), Some(name)) = (step.get("uses").and_then(Value::as_str), step.get("with").and_then(|with| with["name"].as_str())) else {
            return;
        };
        let names: BTreeSet<String> = if name.contains("matrix.target") {
            matrix(job, "target").iter().map(|target| name.replace("${{ matrix.target }}", target.as_str().unwrap())).collect()
        } else {
            [name.to_owned()].into()
        };
        if action.starts_with("actions/upload-artifact@") { up.extend(names) } else { down.extend(names) }
    });
    assert!(!down.is_empty() && down.is_subset(&up), "{down:?} of {up:?}");
}

#[test]
fn every_version_that_is_promised_is_tried() {
    let pythons: Vec<String> = read("sdk-python/pyproject.toml")
        .lines()
        .filter_map(|line| line.trim().strip_prefix("\"Programming Language :: Python :: 3.")?.strip_suffix("\",").map(|minor| format!("3.{minor}")))
        .collect();
    let package: Value = serde_json::from_str(&read("sdk-js/package.json")).unwrap();
    let oldest = package["engines"]["node"].as_str().unwrap().trim_start_matches(">=").split('.').next().unwrap().parse::<u64>().unwrap();
    let mut tried = (Vec::new(), Vec::new());
    each_job(|place, _, job, _| match place {
        "python.yml: test" => tried.0 = matrix(job, "python"),
        "js.yml: js" => tried.1 = matrix(job, "node"),
        _ => {}
    });
    assert_eq!(tried.0, pythons);
    assert_eq!(tried.1.iter().filter_map(Value::as_u64).min(), Some(oldest));
}

#[test]
fn the_whole_test_command_is_run_and_a_release_waits_for_it() {
    let mut runs = Vec::new();
    each_step(|place, step, _| {
        if step.get("run").is_some_and(|run| run == ".ci/run") {
            runs.push(place.split(',').next().unwrap().to_owned());
        }
    });
    assert_eq!(runs, ["ci.yml: test", "release.yml: test"]);
    each_job(|place, _, job, _| {
        let publishes = job.contains_key("environment") || job.get("permissions").is_some_and(|wanted| wanted.get("packages").is_some());
        assert!(!publishes || job.contains_key("needs"), "{place} publishes without waiting for a test");
    });
}

#[test]
fn a_tag_must_be_the_version() {
    let script = root().join(".ci/tag-is-version");
    let agrees = |tag: &str| Command::new("bash").arg(&script).arg(tag).env_remove("GITHUB_REF_NAME").output().unwrap().status.success();
    assert!(agrees(concat!("v", env!("CARGO_PKG_VERSION"))));
    assert!(!agrees(env!("CARGO_PKG_VERSION")) && !agrees("v999.0.0") && !agrees(""));
}
