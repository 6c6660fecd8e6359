//! Where text goes: results to standard output, everything else to standard error, colours to terminals only.

use std::io::{self, IsTerminal, Write};

/// Writes one line of a result, at once: whoever reads a pipe sees it now.
pub(super) fn line(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.write_all(b"\n")?;
    out.flush()
}

/// Writes a result that has its own line ends.
pub(super) fn text(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Tells the person at the terminal something that is no result. Nobody there is no reason to fail.
pub(super) fn note(text: &str) {
    drop(writeln!(io::stderr().lock(), "{text}"));
}

/// Whether results are read by a person.
pub(super) fn to_terminal() -> bool {
    io::stdout().is_terminal()
}

/// Whether notes are read by a person.
pub(super) fn notes_to_terminal() -> bool {
    io::stderr().is_terminal()
}

/// Whether colours are wanted: on terminals, unless `NO_COLOR` says otherwise.
pub(super) fn colours(terminal: bool) -> bool {
    terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// How text is set apart on a terminal.
#[derive(Debug, Clone, Copy)]
pub(super) enum Style {
    /// Names.
    Bold,
    /// What is there to be passed over.
    Dim,
    /// What deserves a look.
    Warn,
}

/// Styles `text` for standard output, where that is a terminal.
pub(super) fn styled(style: Style, text: &str) -> String {
    if !colours(to_terminal()) {
        return text.to_owned();
    }
    let code = match style {
        Style::Bold => "1",
        Style::Dim => "2",
        Style::Warn => "33",
    };
    format!("\u{1b}[{code}m{text}\u{1b}[0m")
}
