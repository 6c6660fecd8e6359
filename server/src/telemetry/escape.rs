//! Foreign text made safe for a line of the log.

use std::fmt;

/// A text of somebody else, cut at 64 characters, with everything that could move a cursor, begin a line or turn the direction escaped.
#[derive(Debug, Clone, Copy)]
pub struct Escaped<'a>(pub &'a str);

/// Enough to recognise what was sent.
const CHARS_MAX: usize = 64;

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut chars = self.0.chars();
        for char in chars.by_ref().take(CHARS_MAX) {
            write!(f, "{}", char.escape_debug())?;
        }
        if chars.next().is_some() { f.write_str("…") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_deceive_a_reader_is_escaped() {
        let foreign = "a\n\u{1b}[31mred\u{202e}\0\u{9b}";
        let shown = Escaped(foreign).to_string();
        assert_eq!(shown, r"a\n\u{1b}[31mred\u{202e}\0\u{9b}");
        assert_eq!(Escaped(&"é".repeat(65)).to_string(), format!("{}…", "é".repeat(64)));
    }
}
