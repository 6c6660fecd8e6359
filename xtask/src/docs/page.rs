//! A page of Markdown as the blocks in it.

/// What a block is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// Commands with their outputs.
    Console { background: bool },
    /// Lines sent and received over a WebSocket, by the name of the connection.
    Frames { connection: Option<String> },
    /// A file for the page's commands.
    File(String),
    /// A part of a file in the repository.
    From(String),
    /// Only to be read.
    Shown,
}

/// A fenced block.
#[derive(Debug, Clone)]
pub(super) struct Block {
    pub(super) kind: Kind,
    /// The line of the page, counted from 1, that the fence is in: the body begins at this index.
    pub(super) line: usize,
    pub(super) body: Vec<String>,
}

/// A page.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) blocks: Vec<Block>,
}

/// A command of a console block.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Command {
    pub(super) text: String,
    /// Where in the body its output begins and ends.
    pub(super) output: std::ops::Range<usize>,
}

/// Languages whose blocks must say how they are run.
const EXECUTABLE: &[&str] = &["console", "sh", "bash", "json", "toml", "rust"];

impl Page {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (mut blocks, mut open): (Vec<Block>, Option<Block>) = (Vec::new(), None);
        for (number, line) in (1..).zip(text.lines()) {
            match (&mut open, line.strip_prefix("```")) {
                (None, Some(info)) => {
                    open = Some(Block { kind: kind(info).map_err(|why| format!(":{number}: {why}"))?, line: number, body: Vec::new() });
                }
                (Some(_), Some("")) => blocks.extend(open.take()),
                (Some(block), _) => block.body.push(line.to_owned()),
                (None, None) => {}
            }
        }
        match open {
            Some(block) => Err(format!(":{}: a fence is not closed", block.line)),
            None => Ok(Self { blocks }),
        }
    }
}

fn kind(info: &str) -> Result<Kind, String> {
    let words: Vec<&str> = info.split_whitespace().collect();
    match words.as_slice() {
        ["console", "run"] => Ok(Kind::Console { background: false }),
        ["console", "run", "background"] => Ok(Kind::Console { background: true }),
        [_, "shown"] => Ok(Kind::Shown),
        [language, how] => match how.split_once('=') {
            None if *how == "frames" => Ok(Kind::Frames { connection: None }),
            Some(("frames", name)) => Ok(Kind::Frames { connection: Some(name.to_owned()) }),
            Some(("file", name)) => Ok(Kind::File(name.to_owned())),
            Some(("from", path)) => Ok(Kind::From(path.to_owned())),
            _ => Err(format!("nobody knows how to run {language} {how}")),
        },
        [language] if EXECUTABLE.contains(language) => Err(format!("say how this {language} is run, or that it is only shown")),
        [] | [_] => Ok(Kind::Shown),
        _ => Err(format!("nobody knows how to run {info}")),
    }
}

impl Block {
    pub(super) fn is_run(&self) -> bool {
        self.kind != Kind::Shown
    }

    /// The commands of a console block.
    pub(super) fn commands(&self) -> Result<Vec<Command>, String> {
        let mut commands: Vec<Command> = Vec::new();
        let mut goes_on = false;
        for (index, line) in self.body.iter().enumerate() {
            match commands.last_mut() {
                Some(command) if goes_on => {
                    command.text.push('\n');
                    command.text.push_str(line);
                    command.output = index + 1..index + 1;
                }
                _ => match (line.strip_prefix("$ "), commands.last_mut()) {
                    (Some(text), _) => commands.push(Command { text: text.to_owned(), output: index + 1..index + 1 }),
                    (None, Some(command)) => command.output.end = index + 1,
                    (None, None) => return Err("output without a command".to_owned()),
                },
            }
            goes_on = line.ends_with('\\') && commands.last().is_some_and(|command| command.output.end == index + 1 && command.output.is_empty());
        }
        if commands.is_empty() { Err("no command".to_owned()) } else { Ok(commands) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_say_how_they_are_run() {
        let page = Page::parse("a\n```console run\n$ x\ny\n```\n```text\nz\n```\n```json frames=ada\n```\n```rust from=a/b.rs\n```\n").unwrap();
        let kinds: Vec<_> = page.blocks.iter().map(|block| (block.line, block.kind.clone())).collect();
        assert_eq!(
            kinds,
            [
                (2, Kind::Console { background: false }),
                (6, Kind::Shown),
                (9, Kind::Frames { connection: Some("ada".into()) }),
                (11, Kind::From("a/b.rs".into()))
            ]
        );
        for bad in ["```console\n```", "```json\n```", "```sh walk\n```", "```console run\n"] {
            assert!(Page::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn commands_are_told_from_their_output() {
        let page = Page::parse("```console run\n$ a \\\n  b\nout\n$ c\n$ d\nout \\\nout\n```").unwrap();
        let commands = page.blocks[0].commands().unwrap();
        let command = |text: &str, output| Command { text: text.into(), output };
        assert_eq!(commands, [command("a \\\n  b", 2..3), command("c", 4..4), command("d", 5..7)]);
        assert!(Page::parse("```console run\nout\n```").unwrap().blocks[0].commands().is_err());
    }
}
