//! One pass over a JSON text that refuses what FR-010 refuses, builds no tree, and knows where it is when it fails.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use super::{RawJson, push_key};

/// What is wrong with a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// Not a JSON text, or one that some language cannot read.
    Json(&'static str),
    /// Nested too deeply.
    TooDeep,
    /// JSON, but not an object where one is needed.
    NotAnObject,
}

/// What is wrong with a text, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What.
    pub kind: FaultKind,
    /// Where, as a JSON pointer; empty for the whole.
    pub pointer: String,
    /// Where, in bytes from the start of the text.
    pub offset: usize,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            FaultKind::Json(what) => write!(f, "{what} (byte {})", self.offset),
            FaultKind::TooDeep => f.write_str("nested too deeply"),
            FaultKind::NotAnObject => f.write_str("an envelope is a JSON object"),
        }
    }
}

impl std::error::Error for Fault {}

/// Checks one JSON value of at most `depth_max` levels.
///
/// # Errors
/// The first [`Fault`].
pub fn check(text: &str, depth_max: usize) -> Result<(), Fault> {
    let mut scanner = Scanner::new(text, depth_max);
    scanner.skip_space();
    scanner.value(1).map_err(|fault| *fault)?;
    scanner.end().map_err(|fault| *fault)
}

/// Checks one JSON object of at most `depth_max` levels and hands each of its members to `visit`, in order.
/// Members before a fault have been visited.
///
/// # Errors
/// The first [`Fault`].
pub fn members<'a>(text: &'a str, depth_max: usize, mut visit: impl FnMut(&str, RawJson<'a>)) -> Result<(), Fault> {
    let mut scanner = Scanner::new(text, depth_max);
    scanner.skip_space();
    if scanner.peek() != Some(b'{') {
        // A text that is not even JSON is told so; any other value is merely not an envelope.
        check(text, depth_max)?;
        return Err(Fault { kind: FaultKind::NotAnObject, pointer: String::new(), offset: 0 });
    }
    scanner.object(1, &mut |key, start, end| visit(key, RawJson(&text[start..end]))).map_err(|fault| *fault)?;
    scanner.end().map_err(|fault| *fault)
}

type Scan<T = ()> = Result<T, Box<Fault>>;

/// Keys of one object compared one by one up to here; a set from here on, so that many keys do not cost their square.
const KEYS_LINEAR_MAX: usize = 24;
/// Keys that an envelope has as a rule: room for them is made at once.
const KEYS_EXPECTED: usize = 16;

struct Scanner<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    depth_max: usize,
    /// Keys of all open objects, innermost last.
    keys: Vec<Cow<'a, str>>,
}

impl<'a> Scanner<'a> {
    fn new(text: &'a str, depth_max: usize) -> Self {
        Self { text, bytes: text.as_bytes(), at: 0, depth_max, keys: Vec::with_capacity(KEYS_EXPECTED) }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    #[cold]
    fn fault<T>(&self, what: &'static str) -> Scan<T> {
        Err(Box::new(Fault { kind: FaultKind::Json(what), pointer: String::new(), offset: self.at }))
    }

    fn end(&mut self) -> Scan {
        self.skip_space();
        if self.at == self.bytes.len() { Ok(()) } else { self.fault("text after the end of the value") }
    }

    fn value(&mut self, depth: usize) -> Scan {
        match self.peek() {
            Some(b'"') => self.string().map(|_| ()),
            Some(b'{') => self.object(depth, &mut |_, _, _| {}),
            Some(b'[') => self.array(depth),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true"),
            Some(b'f') => self.word("false"),
            Some(b'n') => self.word("null"),
            Some(_) => self.fault("not a JSON value"),
            None => self.fault("the text ends where a value should be"),
        }
    }

    fn enter(&mut self, depth: usize) -> Scan {
        if depth > self.depth_max {
            return Err(Box::new(Fault { kind: FaultKind::TooDeep, pointer: String::new(), offset: self.at }));
        }
        self.at += 1;
        self.skip_space();
        Ok(())
    }

    /// Scans an object; `visit` gets each key and the range of its value.
    fn object(&mut self, depth: usize, visit: &mut dyn FnMut(&str, usize, usize)) -> Scan {
        self.enter(depth)?;
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        let first = self.keys.len();
        let mut many: Option<HashSet<Cow<'a, str>>> = None;
        loop {
            if self.peek() != Some(b'"') {
                return self.fault("an object's key should be here");
            }
            let key = self.string()?;
            let index = self.keys.len();
            let duplicate = match &mut many {
                Some(set) => !set.insert(key.clone()),
                None => self.keys[first..].contains(&key),
            };
            self.keys.push(key);
            if duplicate {
                return self.fault("the key stands twice in this object").map_err(|fault| within(fault, &self.keys[index]));
            }
            if many.is_none() && index - first >= KEYS_LINEAR_MAX {
                many = Some(self.keys[first..].iter().cloned().collect());
            }
            self.skip_space();
            if self.peek() != Some(b':') {
                return self.fault("a colon should be here");
            }
            self.at += 1;
            self.skip_space();
            let start = self.at;
            self.value(depth + 1).map_err(|fault| within(fault, &self.keys[index]))?;
            visit(&self.keys[index], start, self.at);
            self.skip_space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => break,
                _ => return self.fault("a comma or the end of the object should be here"),
            }
            self.skip_space();
        }
        self.at += 1;
        self.keys.truncate(first);
        Ok(())
    }

    fn array(&mut self, depth: usize) -> Scan {
        self.enter(depth)?;
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(());
        }
        for index in 0_usize.. {
            self.value(depth + 1).map_err(|fault| within(fault, &index.to_string()))?;
            self.skip_space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return self.fault("a comma or the end of the array should be here"),
            }
            self.skip_space();
        }
        Ok(())
    }

    fn word(&mut self, word: &'static str) -> Scan {
        if !self.bytes[self.at..].starts_with(word.as_bytes()) {
            return self.fault("not a JSON value");
        }
        self.at += word.len();
        Ok(())
    }

    fn digits(&mut self) -> Scan<usize> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == start { self.fault("a digit should be here") } else { Ok(self.at - start) }
    }

    fn number(&mut self) -> Scan {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        let leading_zero = self.peek() == Some(b'0');
        let whole = self.digits()?;
        if leading_zero && whole > 1 {
            self.at = start;
            return self.fault("a number has no leading zero");
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        let exponent = matches!(self.peek(), Some(b'e' | b'E'));
        if exponent {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        // Only these can exceed the largest double, 1.8e308.
        if (exponent || whole > 300) && !self.text[start..self.at].parse::<f64>().is_ok_and(f64::is_finite) {
            self.at = start;
            return self.fault("the number has no finite value");
        }
        Ok(())
    }

    /// Scans a string and gives its decoded text, borrowed where nothing is escaped.
    fn string(&mut self) -> Scan<Cow<'a, str>> {
        self.at += 1;
        let start = self.at;
        let mut escaped = false;
        loop {
            self.at += plain_prefix(&self.bytes[self.at..]);
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                Some(_) => return self.fault("a control character in a string must be escaped"),
                None => return self.fault("the text ends within a string"),
            }
        }
        let inner = &self.text[start..self.at];
        self.at += 1;
        if !escaped {
            return Ok(Cow::Borrowed(inner));
        }
        match super::unescape(&self.text[start - 1..self.at]) {
            Some(decoded) => Ok(Cow::Owned(decoded)),
            None => self.fault("not a JSON string"),
        }
    }

    fn escape(&mut self) -> Scan {
        match self.bytes.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.at += 2;
                Ok(())
            }
            Some(b'u') => match self.code_unit(self.at)? {
                0xD800..=0xDBFF => {
                    let low = if self.bytes.get(self.at + 6..self.at + 8) == Some(b"\\u") { self.code_unit(self.at + 6)? } else { 0 };
                    if !(0xDC00..=0xDFFF).contains(&low) {
                        return self.fault("a lone surrogate");
                    }
                    self.at += 12;
                    Ok(())
                }
                0xDC00..=0xDFFF => self.fault("a lone surrogate"),
                _ => {
                    self.at += 6;
                    Ok(())
                }
            },
            _ => self.fault("no such escape"),
        }
    }

    /// The value of `\uXXXX` at `at`.
    fn code_unit(&self, at: usize) -> Scan<u32> {
        let digits = self.bytes.get(at + 2..at + 6).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        match digits {
            Some(digits) => Ok(digits.iter().fold(0, |value, digit| value * 16 + char::from(*digit).to_digit(16).unwrap_or(0))),
            None => self.fault("\\u needs four hexadecimal digits"),
        }
    }
}

#[cold]
fn within(mut fault: Box<Fault>, key: &str) -> Box<Fault> {
    let mut pointer = String::new();
    push_key(&mut pointer, key);
    pointer.push_str(&fault.pointer);
    fault.pointer = pointer;
    fault
}

/// Bytes of a string that are looked at together.
const PLAIN_BLOCK_BYTES: usize = 32;

/// How many leading bytes are plain string content: no quote, backslash or control character.
fn plain_prefix(bytes: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    // The classic "has a byte equal to / less than" of bit-twiddling on words; exact for the lowest match, which is the one asked for.
    let has_zero = |word: u64| word.wrapping_sub(ONES) & !word & HIGHS;
    // Long texts by blocks that the compiler looks at as vectors.
    let special = |byte: u8| u8::from(byte == b'"') | u8::from(byte == b'\\') | u8::from(byte < 0x20);
    let is_plain = |block: &&[u8; PLAIN_BLOCK_BYTES]| block.iter().fold(0, |found, byte| found | special(*byte)) == 0;
    let mut at = PLAIN_BLOCK_BYTES * bytes.as_chunks().0.iter().take_while(is_plain).count();
    let mut chunks = bytes[at..].chunks_exact(8);
    for chunk in &mut chunks {
        let word = u64::from_le_bytes(chunk.try_into().expect("a chunk has 8 bytes"));
        let quote = has_zero(word ^ (ONES * u64::from(b'"')));
        let backslash = has_zero(word ^ (ONES * u64::from(b'\\')));
        let control = word.wrapping_sub(ONES * 0x20) & !word & HIGHS;
        let special = quote | backslash | control;
        if special != 0 {
            return at + special.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    at + chunks.remainder().iter().take_while(|byte| !matches!(byte, b'"' | b'\\' | 0..=0x1F)).count()
}
