//! JSON as raw text: checked once, relayed as it came.

#[cfg(any(test, target_arch = "wasm32"))]
pub mod compact;
mod scan;
#[cfg(test)]
mod tests;
mod write;

use std::borrow::Cow;
use std::fmt;

pub use scan::{Fault, FaultKind, check, members};
pub(crate) use write::number;
pub use write::{Introduction, Object, Write, written};

/// One JSON value as text, already checked. Relayed byte for byte.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RawJson<'a>(&'a str);

impl<'a> RawJson<'a> {
    /// The value `null`.
    pub const NULL: RawJson<'static> = RawJson("null");
    /// The value `{}`.
    pub const EMPTY_OBJECT: RawJson<'static> = RawJson("{}");

    /// Checks that `text` is one JSON value that every language can read (FR-010), within `depth_max` levels.
    ///
    /// # Errors
    /// A [`Fault`] that says what and where.
    pub fn new(text: &'a str, depth_max: usize) -> Result<Self, Fault> {
        check(text, depth_max)?;
        Ok(Self(text.trim_matches([' ', '\t', '\n', '\r'])))
    }

    /// Takes the word of a JSON encoder that `text` is one value.
    #[must_use]
    pub fn from_encoder(text: &'a str) -> Self {
        Self(text)
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &'a str {
        self.0
    }

    /// Whether it is `null`.
    #[must_use]
    pub fn is_null(&self) -> bool {
        self.0 == "null"
    }

    /// The text of a JSON string, where it is one; borrowed where nothing is escaped.
    #[must_use]
    pub fn string(&self) -> Option<Cow<'a, str>> {
        let inner = self.0.strip_prefix('"')?.strip_suffix('"')?;
        if inner.contains('\\') { unescape(self.0).map(Cow::Owned) } else { Some(Cow::Borrowed(inner)) }
    }

    /// Reads it into a typed value.
    ///
    /// # Errors
    /// The pointer of the first place that does not fit, and why.
    pub fn parse<T: serde::de::DeserializeOwned>(&self) -> Result<T, (String, String)> {
        let mut deserializer = serde_json::Deserializer::from_str(self.0);
        serde_path_to_error::deserialize(&mut deserializer).map_err(|error| (pointer(error.path()), plain(&error.into_inner())))
    }
}

/// What [`RawJson::read`] reads: everything that serde does, except on WebAssembly, where code is downloaded and [`compact`] is the way.
#[cfg(any(not(target_arch = "wasm32"), feature = "serde-on-wasm"))]
mod reading {
    /// A type that [`super::RawJson::read`] reads.
    pub trait Readable: serde::de::DeserializeOwned {}
    impl<T: serde::de::DeserializeOwned> Readable for T {}
}
#[cfg(all(target_arch = "wasm32", not(feature = "serde-on-wasm")))]
mod reading {
    pub use super::compact::Read as Readable;
}
pub use reading::Readable;

impl RawJson<'_> {
    /// Reads what a server wrote: one of the types that a client core meets.
    ///
    /// # Errors
    /// As [`Self::parse`]; on WebAssembly without a pointer.
    #[cfg(any(not(target_arch = "wasm32"), feature = "serde-on-wasm"))]
    pub fn read<T: Readable>(&self) -> Result<T, (String, String)> {
        self.parse()
    }

    /// Reads what a server wrote: one of the types that a client core meets.
    ///
    /// # Errors
    /// As [`Self::parse`], without a pointer.
    #[cfg(all(target_arch = "wasm32", not(feature = "serde-on-wasm")))]
    pub fn read<T: Readable>(&self) -> Result<T, (String, String)> {
        T::read(*self).ok_or_else(|| (String::new(), "it does not fit its type".to_owned()))
    }
}

/// The text of a checked string, which has its quotes.
fn unescape(quoted: &str) -> Option<String> {
    #[cfg(not(target_arch = "wasm32"))]
    return serde_json::from_str(quoted).ok();
    #[cfg(target_arch = "wasm32")]
    return Some(compact::unescape(quoted.get(1..quoted.len() - 1)?));
}

impl fmt::Debug for RawJson<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// Reads a struct from an object only: serde's derive would take an array of its fields too.
pub(crate) fn object<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: serde::Deserialize<'de>,
    D: serde::Deserializer<'de>,
{
    struct Members<T>(std::marker::PhantomData<T>);

    impl<'de, T: serde::Deserialize<'de>> serde::de::Visitor<'de> for Members<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
            T::deserialize(serde::de::value::MapAccessDeserializer::new(map))
        }
    }

    deserializer.deserialize_map(Members(std::marker::PhantomData))
}

/// Renders a path of serde as an RFC 6901 pointer.
fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    let mut pointer = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => pointer.push_str(&format!("/{index}")),
            Segment::Map { key } => push_key(&mut pointer, key),
            Segment::Enum { .. } | Segment::Unknown => {}
        }
    }
    pointer
}

/// Appends `/key` with the escapes of RFC 6901 §3.
fn push_key(pointer: &mut String, key: &str) {
    pointer.push('/');
    pointer.push_str(&key.replace('~', "~0").replace('/', "~1"));
}

/// serde_json's message without its "at line 1 column 5": the pointer says where.
fn plain(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.rfind(" at line ").map_or(text.clone(), |end| text[..end].to_owned())
}
