//! What can be wrong with a text.

use std::fmt;

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
