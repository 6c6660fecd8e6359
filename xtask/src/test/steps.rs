//! The steps of the test command, in the order in which they are most likely to say what is wrong soonest.

use std::path::Path;

use super::tools;

/// One step: a name, and the command lines that must succeed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    pub(super) name: &'static str,
    /// What passing it means.
    pub(super) why: &'static str,
    /// Sees to it that what the commands need is there.
    pub(super) needs: fn(&Path) -> Result<(), String>,
    pub(super) commands: &'static [&'static str],
    pub(super) env: &'static [(&'static str, &'static str)],
}

const PLAIN: Step = Step { name: "", why: "", needs: |_| Ok(()), commands: &[], env: &[] };

/// Every step.
pub(super) const STEPS: &[Step] = &[
    Step { name: "format", why: "the sources are formatted", commands: &["cargo fmt --all --check"], ..PLAIN },
    Step {
        name: "clippy",
        why: "the lint table finds nothing",
        commands: &["cargo clippy --workspace --all-targets --locked -- -D warnings"],
        ..PLAIN
    },
    Step {
        name: "build",
        why: "libraries, the `arqonbus` command, examples and tests compile",
        commands: &["cargo build --workspace --all-targets --locked"],
        ..PLAIN
    },
    Step {
        name: "wasm",
        why: "the protocol and the client core build without an operating system",
        needs: tools::wasm_target,
        commands: &[
            "cargo build --locked --target wasm32-unknown-unknown -p arqonbus-protocol",
            "cargo build --locked --target wasm32-unknown-unknown -p arqonbus-client --no-default-features",
        ],
        ..PLAIN
    },
    Step {
        name: "embedding",
        why: "the server builds as a library without the command line",
        commands: &["cargo check --locked -p arqonbus-server --lib --no-default-features"],
        ..PLAIN
    },
    Step { name: "generated", why: "schema/ and the reference tables are fresh", commands: &["cargo xtask schema --check"], ..PLAIN },
    Step { name: "tidy", why: "the house rules hold", commands: &["cargo xtask tidy"], ..PLAIN },
    Step { name: "redis", why: "the tests can start a redis-server", needs: tools::redis_server, commands: &["redis-server --version"], ..PLAIN },
    Step {
        name: "tests",
        why: "unit tests, behaviours, vectors, doc examples",
        needs: tools::redis_server,
        commands: &["cargo test --workspace --locked"],
        ..PLAIN
    },
    Step { name: "python", why: "the Python SDK: wheel, types, vectors, behaviours", commands: &["bash sdk-python/run-tests"], ..PLAIN },
    Step {
        name: "js",
        why: "the JavaScript SDK: package, types, vectors, behaviours in Node and Chromium",
        commands: &["bash sdk-js/run-tests"],
        ..PLAIN
    },
    Step {
        name: "docs",
        why: "every snippet of the documents does what it prints",
        needs: tools::redis_server,
        commands: &["cargo xtask docs"],
        ..PLAIN
    },
    Step {
        name: "rustdoc",
        why: "the reference of the crates has no broken links",
        commands: &["cargo doc --workspace --no-deps --locked"],
        env: &[("RUSTDOCFLAGS", "-D warnings")],
        ..PLAIN
    },
    Step {
        name: "deny",
        why: "bans, licenses and sources of dependencies; advisories need a clone of their database and are left to the hosted CI",
        needs: tools::cargo_deny,
        commands: &["cargo-deny check bans licenses sources"],
        ..PLAIN
    },
];
