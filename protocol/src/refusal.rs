//! The error object of the wire.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{ErrorCode, Retry};

/// Why a request was not carried out, and what the sender should do about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, thiserror::Error)]
#[error("{code}: {message}{}", at.as_deref().map(|at| format!(" (at {at})")).unwrap_or_default())]
#[schemars(rename = "Error")]
pub struct Refusal {
    /// What went wrong, from a closed list.
    pub code: ErrorCode,
    /// The same in words; for people, not for programs.
    pub message: Cow<'static, str>,
    /// Whether sending the same again can succeed.
    pub retry: Retry,
    /// How long to wait before that, in milliseconds; with `retry: "after"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// The place in the envelope, as a JSON pointer (RFC 6901).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Cow<'static, str>>,
}

impl Refusal {
    /// Refuses with the retry advice that belongs to `code`.
    #[must_use]
    pub fn new(code: ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into(), retry: code.retry(), retry_after_ms: None, at: None }
    }

    /// Names the place.
    #[must_use]
    pub fn at(mut self, pointer: impl Into<Cow<'static, str>>) -> Self {
        self.at = Some(pointer.into());
        self
    }

    /// Says when to try again.
    #[must_use]
    pub fn after_ms(mut self, ms: u64) -> Self {
        self.retry = Retry::After;
        self.retry_after_ms = Some(ms);
        self
    }
}

/// A refusal from a newer server: a code that this version does not know is kept by its retry advice.
#[derive(Deserialize)]
pub(crate) struct LenientRefusal {
    pub(crate) code: Cow<'static, str>,
    pub(crate) message: Cow<'static, str>,
    pub(crate) retry: Retry,
    pub(crate) retry_after_ms: Option<u64>,
    pub(crate) at: Option<Cow<'static, str>>,
}

impl From<LenientRefusal> for Refusal {
    fn from(lenient: LenientRefusal) -> Self {
        let LenientRefusal { code, message, retry, retry_after_ms, at } = lenient;
        let known = ErrorCode::ALL.iter().copied().find(|known| known.as_str() == code);
        let message = if known.is_some() { message } else { format!("{code}: {message}").into() };
        let code = known.unwrap_or(if retry == Retry::Never { ErrorCode::Unsupported } else { ErrorCode::Internal });
        Self { code, message, retry, retry_after_ms, at }
    }
}
