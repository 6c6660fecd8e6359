//! Runs the snippets of the documents against a real bus, and compares what they print with what comes.
//!
//! How a block is run is said after its language:
//!
//! | info string | what is done |
//! |---|---|
//! | `console run` | each `$ ` command is run; what follows it is its output |
//! | `console run background` | one command, started and left running; its output is compared at the end of the page |
//! | `json frames`, `json frames=NAME` | `→` lines are sent over a WebSocket, `←` lines are what comes, in order; a name keeps the socket |
//! | `toml file=NAME` | written where the page's commands run |
//! | `rust from=PATH` | stands like this in that file, which is compiled elsewhere |
//! | `… shown` | not run |
//!
//! Every page has a bus of its own, on ports that are free; `9100` and `9101` in the page stand for them, as `9110`, `9111` and `6379` do for those of a second
//! node and of a Redis that the page starts. Ids, epochs, times and durations may
//! differ; those that the page repeats must repeat alike. `…` stands for anything.

mod compare;
mod page;
mod processes;
mod stage;
mod websocket;

use std::fs;
use std::path::{Path, PathBuf};

use crate::say;
use page::{Block, Page};
use stage::Stage;

/// A block that does not do what it prints: where its output begins and ends in the page, and what it would have to be.
struct Difference {
    line: usize,
    expected: Vec<String>,
    actual: Vec<String>,
    /// Lines of the page that `actual` would replace.
    range: std::ops::Range<usize>,
}

/// Runs every page, or those named; with `rewrite`, puts what came into the pages.
pub(crate) fn run(root: &Path, named: &[&str], rewrite: bool) -> Result<String, String> {
    let pages = if named.is_empty() { all(root)? } else { named.iter().map(|name| root.join(name)).collect() };
    let (mut blocks, mut complaints) = (0, Vec::new());
    for path in &pages {
        let name = path.strip_prefix(root).unwrap_or(path).display().to_string();
        let text = fs::read_to_string(path).map_err(|error| format!("cannot read {name}: {error}"))?;
        let page = Page::parse(&text).map_err(|why| format!("{name}{why}"))?;
        let differences = perform(root, &page).map_err(|why| format!("{name}{why}"))?;
        let count = page.blocks.iter().filter(|block| block.is_run()).count();
        say(&format!("{name}: {count} snippets, {} differ", differences.len()));
        blocks += count;
        if rewrite && !differences.is_empty() {
            fs::write(path, rewritten(&text, &differences)).map_err(|error| format!("cannot write {name}: {error}"))?;
        } else {
            complaints.extend(differences.iter().map(|difference| difference.tell(&name)));
        }
    }
    if complaints.is_empty() {
        return Ok(format!("docs: {} pages, {blocks} snippets", pages.len()));
    }
    Err(format!("{}\nmend the page, or run `cargo xtask docs --write` and look at what it changed", complaints.join("\n")))
}

fn perform(root: &Path, page: &Page) -> Result<Vec<Difference>, String> {
    let mut stage = Stage::new(root, page)?;
    let mut differences = Vec::new();
    for block in &page.blocks {
        stage.play(block, &mut differences).map_err(|why| format!(":{}: {why}", block.line))?;
    }
    stage.end(&mut differences)?;
    Ok(differences)
}

/// The README and everything in `docs/`.
fn all(root: &Path) -> Result<Vec<PathBuf>, String> {
    let mut pages = vec![root.join("README.md")];
    let mut directories = vec![root.join("docs")];
    while let Some(directory) = directories.pop() {
        let entries = fs::read_dir(&directory).map_err(|error| format!("cannot list {}: {error}", directory.display()))?;
        let mut paths = entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>().map_err(|error| error.to_string())?;
        paths.sort();
        pages.extend(paths.iter().filter(|path| path.extension().is_some_and(|extension| extension == "md")).cloned());
        directories.extend(paths.into_iter().filter(|path| path.is_dir()));
    }
    Ok(pages)
}

fn rewritten(text: &str, differences: &[Difference]) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let mut last_first: Vec<&Difference> = differences.iter().collect();
    last_first.sort_by_key(|difference| std::cmp::Reverse(difference.range.start));
    for difference in last_first {
        lines.splice(difference.range.clone(), difference.actual.iter().cloned());
    }
    lines.join("\n") + "\n"
}

impl Difference {
    fn tell(&self, page: &str) -> String {
        let lines = |lines: &[String]| lines.iter().map(|line| format!("    {line}\n")).collect::<String>();
        format!("{page}:{}: prints\n{}  and what came is\n{}", self.line, lines(&self.expected), lines(&self.actual))
    }
}

impl Block {
    /// The lines `from..to` of the block's body, as lines of the page.
    fn range(&self, from: usize, to: usize) -> std::ops::Range<usize> {
        self.line + from..self.line + to
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_replaces_what_was_printed() {
        let difference = |range, actual: &[&str]| Difference {
            line: 1,
            expected: Vec::new(),
            actual: actual.iter().map(|line| (*line).to_owned()).collect(),
            range,
        };
        let text = "a\nb\nc\nd\n";
        assert_eq!(rewritten(text, &[difference(1..2, &["x", "y"]), difference(3..3, &["z"])]), "a\nx\ny\nc\nz\nd\n");
    }
}
