//! Whether a printed line is what came: alike but for ids, epochs, times and durations, and with `…` for anything.

use std::collections::HashMap;

/// JSON members whose numbers differ from run to run.
const VARYING: &[&str] = &["\"uptime_ms\":", "\"refetch_after_ms\":", "\"reconnect_after_ms\":", "\"retry_after_ms\":", "\"pid\":"];
const UNITS: &[&str] = &[" µs", " ms", " s,", " MiB", "s,"];
/// Random numbers in base 36 or 16 have at least this many digits.
const RANDOM_MIN: usize = 10;

/// What the page calls a thing that has another name in this run.
#[derive(Debug, Default)]
pub(super) struct Names(HashMap<String, String>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token<'a> {
    Text(&'a str),
    /// Told apart from others of its kind, such as an id.
    Name(&'a str),
    Number,
    Time(&'a str),
    Any,
}

impl Names {
    /// Whether all `actual` lines are what is `printed`; learns their names.
    pub(super) fn match_lines(&mut self, printed: &[String], actual: &[String]) -> bool {
        match printed.split_first() {
            None => actual.is_empty(),
            Some((first, rest)) if first.trim() == "…" => (0..=actual.len()).any(|skipped| self.match_lines(rest, &actual[skipped..])),
            Some((first, rest)) => actual.split_first().is_some_and(|(line, others)| self.match_line(first, line) && self.match_lines(rest, others)),
        }
    }

    /// Whether a line is what is printed; learns its names.
    pub(super) fn match_line(&mut self, printed: &str, actual: &str) -> bool {
        let (printed, actual) = (tokens(printed.trim_end()), tokens(actual.trim_end()));
        let mut learnt = Vec::new();
        let fits = glob(&printed, &actual, &mut learnt);
        fits && learnt.into_iter().all(|(page, run)| self.0.entry(page.to_owned()).or_insert_with(|| run.to_owned()) == run)
    }

    /// The text with this run's names.
    pub(super) fn apply(&self, text: &str) -> String {
        let pieces = split(text);
        pieces.into_iter().map(|piece| self.0.get(piece).map_or(piece, String::as_str)).collect()
    }
}

fn glob<'a>(printed: &[Token<'a>], actual: &[Token<'a>], learnt: &mut Vec<(&'a str, &'a str)>) -> bool {
    let mut parts = printed.split(|token| *token == Token::Any).peekable();
    let (mut at, mut is_first) = (0, true);
    while let Some(part) = parts.next() {
        let is_last = parts.peek().is_none();
        let Some(latest) = actual.len().checked_sub(part.len()).filter(|latest| *latest >= at) else { return false };
        let starts = match (is_first, is_last) {
            (true, true) if latest != 0 => return false,
            (true, _) => 0..=0,
            (false, true) => latest..=latest,
            (false, false) => at..=latest,
        };
        let Some(found) = starts.into_iter().find(|start| part.iter().zip(&actual[*start..]).all(|(a, b)| alike(*a, *b))) else { return false };
        learnt.extend(part.iter().zip(&actual[found..]).filter_map(|pair| names(*pair.0, *pair.1)));
        (at, is_first) = (found + part.len(), false);
    }
    true
}

fn alike(printed: Token<'_>, actual: Token<'_>) -> bool {
    match (printed, actual) {
        (Token::Name(a), Token::Name(b)) => prefix(a) == prefix(b),
        (Token::Time(_), Token::Time(_)) => true,
        _ => printed == actual,
    }
}

/// `c_`, `n_`, `arq_`, or nothing.
fn prefix(name: &str) -> &str {
    name.find('_').map_or("", |at| &name[..at])
}

fn names<'a>(printed: Token<'a>, actual: Token<'a>) -> Option<(&'a str, &'a str)> {
    match (printed, actual) {
        (Token::Name(a), Token::Name(b)) => Some((a, b)),
        _ => None,
    }
}

fn tokens(line: &str) -> Vec<Token<'_>> {
    let mut at = 0;
    let pieces = split(line).into_iter();
    pieces
        .map(|piece| {
            let (before, after) = (&line[..at], &line[at + piece.len()..]);
            at += piece.len();
            token(piece, before, after)
        })
        .collect()
}

fn token<'a>(piece: &'a str, before: &str, after: &str) -> Token<'a> {
    let is_number = piece.starts_with(|first: char| first.is_ascii_digit()) && piece.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    if piece == "…" {
        Token::Any
    } else if is_time(piece) {
        Token::Time(piece)
    } else if is_random(piece) {
        Token::Name(piece)
    } else if is_number && (VARYING.iter().any(|key| before.ends_with(key)) || UNITS.iter().any(|unit| after.starts_with(unit)) || is_peer(before)) {
        Token::Number
    } else {
        Token::Text(piece)
    }
}

fn is_peer(before: &str) -> bool {
    before.ends_with("peer=127.0.0.1:")
}

fn is_time(piece: &str) -> bool {
    piece.len() >= 20 && piece.as_bytes()[10] == b'T' && piece.ends_with('Z') && piece.starts_with("20")
}

fn is_random(piece: &str) -> bool {
    let has_prefix = ["c_", "n_", "arq_"].iter().any(|prefix| piece.starts_with(prefix));
    let digits = piece.bytes().filter(u8::is_ascii_digit).count();
    let is_plain = piece.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_lowercase());
    piece.len() >= RANDOM_MIN && digits > 0 && (has_prefix || (is_plain && digits < piece.len()))
}

/// Times, words, numbers with their point, and single characters.
fn split(text: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let time = rest.find('Z').map(|end| &rest[..=end]).filter(|piece| piece.is_ascii() && piece.len() <= 27 && is_time(piece));
        let word = rest.find(|character: char| !character.is_ascii_alphanumeric() && character != '_').unwrap_or(rest.len());
        let end = match time {
            Some(time) => time.len(),
            None if word == 0 => first.len_utf8(),
            None if first.is_ascii_digit() => decimal(rest, word),
            None => word,
        };
        let (piece, others) = rest.split_at(end);
        pieces.push(piece);
        rest = others;
    }
    pieces
}

/// Where a number ends that may go on behind a point.
fn decimal(rest: &str, word: usize) -> usize {
    let (whole, behind) = rest.split_at(word);
    let Some(fraction) = behind.strip_prefix('.').filter(|_| whole.bytes().all(|byte| byte.is_ascii_digit())) else { return word };
    let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
    let is_address = fraction[digits..].starts_with('.');
    if digits == 0 || is_address { word } else { word + 1 + digits }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_times_may_differ_and_nothing_else() {
        for (printed, actual, fits) in [
            (r#"{"id":"arq_01JDABCDEFGHJKMNPQRSTVWXY2","seq":1}"#, r#"{"id":"arq_01JDABCDEFGHJKMNPQRSTVWXY3","seq":1}"#, true),
            (r#"{"epoch":"k3v9x2k3v9x2","seq":1}"#, r#"{"epoch":"a1b2c3d4e5f6g","seq":1}"#, true),
            (r#"{"epoch":"k3v9x2k3v9x2","seq":1}"#, r#"{"epoch":"a1b2c3d4e5f6g","seq":2}"#, false),
            ("c_k3v9x2k3v9x2", "n_k3v9x2k3v9x2", false),
            ("2026-11-22T16:49:00.000Z  INFO a", "2027-01-02T03:04:05.678901Z  INFO a", true),
            ("in 12 ms", "in 1.25 ms", true),
            ("in 12 cm", "in 13 cm", false),
            (r#"{"pid":1,"x":1}"#, r#"{"pid":22,"x":1}"#, true),
            ("a … d", "a b c d", true),
            ("a …", "a b c d", true),
            ("… d", "a b c d", true),
            ("a … c … e", "a b c d", false),
            ("a", "a b", false),
            ("a b", "a", false),
            ("127.0.0.1:9100", "127.0.0.1:9100", true),
        ] {
            assert_eq!(Names::default().match_line(printed, actual), fits, "{printed} / {actual}");
        }
    }

    #[test]
    fn a_name_that_is_repeated_must_repeat() {
        let mut names = Names::default();
        assert!(names.match_line("c_aaaaaaaaa1 c_aaaaaaaaa2", "c_bbbbbbbbb1 c_bbbbbbbbb2"));
        assert!(names.match_line("c_aaaaaaaaa1", "c_bbbbbbbbb1"));
        assert!(!names.match_line("c_aaaaaaaaa1", "c_bbbbbbbbb2"));
        assert_eq!(names.apply(r#"{"to":"c_aaaaaaaaa2"} …"#), r#"{"to":"c_bbbbbbbbb2"} …"#);
    }

    #[test]
    fn dots_on_a_line_of_their_own_stand_for_lines() {
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
        let mut names = Names::default();
        assert!(names.match_lines(&lines("a\n…\nd"), &lines("a\nb\nc\nd")));
        assert!(names.match_lines(&lines("a\n…"), &lines("a")));
        assert!(!names.match_lines(&lines("a\n…\nd"), &lines("a\nb")));
        assert!(!names.match_lines(&lines("a"), &lines("a\nb")));
    }
}
