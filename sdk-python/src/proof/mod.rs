//! What the shared vectors and dialogues need to run through this very extension. For tests only.

mod core;
mod render;
mod vectors;

pub(crate) use self::core::Core;
pub(crate) use vectors::{decode, refusal};

use pyo3::PyErr;
use pyo3::exceptions::PyValueError;

/// A test gave something that makes no sense.
fn nonsense(what: impl std::fmt::Display) -> PyErr {
    PyValueError::new_err(what.to_string())
}
