//! The house rules that a machine can check, over every file that git knows.

mod rules;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

/// What the rules look at: every file by its path in the repository, with its text; nothing for files that are not UTF-8.
pub(crate) struct Repository {
    files: BTreeMap<String, Option<String>>,
}

/// One broken rule, as a sentence that begins with the place.
pub(crate) type Finding = String;

/// A rule by its name.
type Rule = (&'static str, fn(&Repository) -> Vec<Finding>);

const RULES: &[Rule] = &[
    ("length", rules::length),
    ("module docs", rules::module_docs),
    ("unfinished", rules::unfinished),
    ("machine paths", rules::machine_paths),
    ("purity", rules::purity),
    ("specs", rules::specs),
    ("links", rules::links),
    ("change log", rules::change_log),
    ("versions", rules::versions),
    ("licences", rules::licences),
];

/// Checks every rule and gives all findings at once.
pub(crate) fn check(root: &Path) -> Result<String, String> {
    let repository = Repository::read(root)?;
    let findings = repository.findings();
    if findings.is_empty() {
        return Ok(format!("tidy: {} files, {} rules", repository.files.len(), RULES.len()));
    }
    Err(format!("{}\ntidy: {} findings", findings.join("\n"), findings.len()))
}

impl Repository {
    /// Reads what git tracks, and what it would track.
    fn read(root: &Path) -> Result<Self, String> {
        let listed = Command::new("git").args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]).current_dir(root).output();
        let listed = listed.map_err(|error| format!("cannot run git: {error}"))?;
        if !listed.status.success() {
            return Err(format!("git ls-files failed: {}", String::from_utf8_lossy(&listed.stderr)));
        }
        let names = String::from_utf8(listed.stdout).map_err(|_| "a file name is not UTF-8".to_owned())?;
        let present = names.split('\0').filter(|name| !name.is_empty() && root.join(name).is_file());
        let files = present.map(|name| {
            let bytes = std::fs::read(root.join(name)).map_err(|error| format!("cannot read {name}: {error}"))?;
            Ok((name.to_owned(), String::from_utf8(bytes).ok()))
        });
        Ok(Self { files: files.collect::<Result<_, String>>()? })
    }

    fn findings(&self) -> Vec<Finding> {
        RULES.iter().flat_map(|(name, rule)| rule(self).into_iter().map(move |finding| format!("{finding} [{name}]"))).collect()
    }

    /// Every text file.
    fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files.iter().filter_map(|(path, text)| Some((path.as_str(), text.as_deref()?)))
    }

    /// The text of a file; empty where there is none.
    fn text(&self, path: &str) -> &str {
        self.files.get(path).and_then(Option::as_deref).unwrap_or_default()
    }

    /// Whether the path is a file, or a directory that holds one.
    fn has(&self, path: &str) -> bool {
        let within = format!("{path}/");
        path.is_empty() || self.files.contains_key(path) || self.files.keys().any(|file| file.starts_with(&within))
    }
}
