//! Chores of this repository; `cargo xtask` lists them.

mod docs;
mod schema;
mod test;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask <chore>
  test             runs everything that a change has to pass
  schema           writes schema/ and docs/reference/protocol-tables.md from the protocol crate
  schema --check   fails where they are stale
  tidy             checks the house rules over all tracked files
  docs [page…]     runs the snippets of README and docs/ against the bus that was built, and compares
  docs --write …   puts what came into the pages";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["schema"] => schema::write(&root()),
        ["schema", "--check"] => schema::check(&root()),
        ["tidy"] => tidy::check(&root()),
        ["test"] => test::run(&root()),
        ["docs", "--write", pages @ ..] => docs::run(&root(), pages, true),
        ["docs", pages @ ..] => docs::run(&root(), pages, false),
        _ => Err(USAGE.to_owned()),
    };
    match outcome {
        Ok(said) => {
            say(&said);
            ExitCode::SUCCESS
        }
        Err(said) => {
            complain(&said);
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stdout, reason = "the output of a chore")]
fn say(text: &str) {
    println!("{text}");
}

#[expect(clippy::print_stderr, reason = "the errors of a chore")]
fn complain(text: &str) {
    eprintln!("{text}");
}

/// The repository: the directory above this crate.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies within the repository").to_owned()
}

/// Where cargo builds.
fn target_directory(root: &Path) -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |directory| root.join(directory))
}
