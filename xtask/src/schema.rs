//! Writes what is generated from the protocol crate, or says what is stale.

use std::fs;
use std::path::Path;

use arqonbus_protocol::schema::{files, reference_tables};

/// Every generated file, as its path in the repository and its content.
fn generated() -> Vec<(String, String)> {
    let mut all: Vec<_> = files().into_iter().map(|(name, content)| (format!("schema/{name}"), content)).collect();
    all.push(("docs/reference/protocol-tables.md".to_owned(), reference_tables()));
    all
}

/// Writes all of them.
pub(crate) fn write(root: &Path) -> Result<String, String> {
    let mut written = Vec::new();
    for (name, content) in generated() {
        let path = root.join(&name);
        let directory = path.parent().expect("a generated file lies in a directory");
        fs::create_dir_all(directory).and_then(|()| fs::write(&path, content)).map_err(|error| format!("cannot write {name}: {error}"))?;
        written.push(name);
    }
    Ok(format!("wrote {}", written.join(", ")))
}

/// Fails where one of them is not what the code says.
pub(crate) fn check(root: &Path) -> Result<String, String> {
    let stale: Vec<_> =
        generated().into_iter().filter(|(name, content)| fs::read_to_string(root.join(name)).ok().as_ref() != Some(content)).collect();
    if stale.is_empty() {
        return Ok("schema/ and docs/reference/protocol-tables.md are fresh".to_owned());
    }
    let names: Vec<_> = stale.into_iter().map(|(name, _)| name).collect();
    Err(format!("stale: {}; run `cargo xtask schema`", names.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_or_changed_is_stale_and_what_was_written_is_fresh() {
        let root = std::env::temp_dir().join(format!("arqonbus-xtask-{}", std::process::id()));
        let missing = check(&root).unwrap_err();
        assert!(missing.contains("schema/codes.json") && missing.ends_with("run `cargo xtask schema`"), "{missing}");
        write(&root).unwrap();
        check(&root).unwrap();
        fs::write(root.join("schema/codes.json"), "{}").unwrap();
        assert_eq!(check(&root).unwrap_err(), "stale: schema/codes.json; run `cargo xtask schema`");
        fs::remove_dir_all(&root).unwrap();
    }
}
