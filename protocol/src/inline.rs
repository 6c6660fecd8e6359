//! Short ASCII text held in place: `Copy`, no allocation, validated once.

use std::borrow::Cow;

/// Why a text is not a valid name, id, epoch or timestamp.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{expected}")]
pub struct Invalid {
    /// What would have been valid, as a sentence.
    pub expected: &'static str,
}

/// Up to `MAX` bytes of ASCII.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Inline<const MAX: usize> {
    bytes: [u8; MAX],
    len: u8,
}

impl<const MAX: usize> Inline<MAX> {
    /// Holds `text` where it is 1 to `MAX` ASCII bytes.
    pub(crate) fn new(text: &str) -> Option<Self> {
        Self::ascii(text.as_bytes())
    }

    /// As [`Self::new`], of bytes.
    pub(crate) fn ascii(text: &[u8]) -> Option<Self> {
        if text.is_empty() || text.len() > MAX || !text.is_ascii() {
            return None;
        }
        let mut bytes = [0; MAX];
        bytes[..text.len()].copy_from_slice(text);
        Some(Self { bytes, len: u8::try_from(text.len()).ok()? })
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or_else(|_| unreachable!("only ASCII is let in"))
    }
}

/// Which bytes a kind of text may have: a look-up for each byte, because every envelope has a hundred of them.
pub(crate) struct Alphabet([bool; 256]);

impl Alphabet {
    /// ASCII letters, digits, and `others`.
    pub(crate) const fn alphanumeric_and(others: &[u8]) -> Self {
        let mut table = Self::lower_and_digits().0;
        let mut letter = b'A';
        while letter <= b'Z' {
            table[letter as usize] = true;
            letter += 1;
        }
        let mut at = 0;
        while at < others.len() {
            table[others[at] as usize] = true;
            at += 1;
        }
        Self(table)
    }

    /// Lower-case ASCII letters and digits.
    pub(crate) const fn lower_and_digits() -> Self {
        let mut table = [false; 256];
        let mut byte = 0;
        while byte < 128 {
            table[byte] = (byte as u8).is_ascii_lowercase() || (byte as u8).is_ascii_digit();
            byte += 1;
        }
        Self(table)
    }

    /// Whether all of `text` is of it.
    pub(crate) fn spells(&self, text: &[u8]) -> bool {
        text.iter().all(|byte| self.0[usize::from(*byte)])
    }
}

impl<const MAX: usize> std::hash::Hash for Inline<MAX> {
    /// Hashes the text alone: the bytes behind it are zero in every value, and most names are short.
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

/// Defines a public newtype over [`Inline`] with one fallible constructor and the traits that a name needs.
macro_rules! inline_text {
    ($(#[$doc:meta])* $name:ident, $max:literal, $valid:expr, $expected:literal, $regex:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name($crate::inline::Inline<$max>);

        impl $name {
            /// The most bytes that one may have.
            pub const BYTES_MAX: usize = $max;

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                self.0.as_str()
            }

            /// The text as ASCII bytes; cheaper than [`Self::as_str`].
            #[must_use]
            pub fn as_bytes(&self) -> &[u8] {
                self.0.as_bytes()
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::inline::Invalid;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let valid: fn(&[u8]) -> bool = $valid;
                match $crate::inline::Inline::new(text) {
                    Some(inline) if valid(text.as_bytes()) => Ok(Self(inline)),
                    _ => Err($crate::inline::Invalid { expected: $expected }),
                }
            }
        }

        $crate::inline::text_traits!($name, $regex, $expected);
    };
}

/// The traits of a type that is a text on the wire: it has `as_str` and `FromStr<Err = Invalid>`.
macro_rules! text_traits {
    ($name:ident, $regex:literal, $expected:expr) => {
        impl TryFrom<&str> for $name {
            type Error = $crate::inline::Invalid;
            fn try_from(text: &str) -> Result<Self, Self::Error> {
                text.parse()
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Debug::fmt(self.as_str(), f)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $crate::inline::deserialize_text(deserializer)
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "pattern": $regex, "description": $expected })
            }
        }
    };
}

pub(crate) use {inline_text, text_traits};

/// Reads a JSON string into any type that is parsed from text.
pub(crate) fn deserialize_text<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: std::str::FromStr<Err = Invalid>,
    D: serde::Deserializer<'de>,
{
    let text = <Cow<'de, str> as serde::Deserialize>::deserialize(deserializer)?;
    text.parse().map_err(serde::de::Error::custom)
}
