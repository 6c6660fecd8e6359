//! What is generated from this crate and committed is what the crate says.

use std::path::Path;

use arqonbus_protocol::schema::{files, reference_tables};

#[test]
fn what_is_committed_is_what_the_code_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut generated: Vec<_> = files().into_iter().map(|(name, content)| (format!("schema/{name}"), content)).collect();
    generated.push(("docs/reference/protocol-tables.md".to_owned(), reference_tables()));
    for (name, content) in generated {
        let committed = std::fs::read_to_string(root.join(&name)).unwrap_or_default();
        assert!(committed == content, "{name} is stale: run `cargo xtask schema`");
    }
}
