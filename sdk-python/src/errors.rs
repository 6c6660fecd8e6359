//! Rust errors as the exceptions of the package, which Python defines.

use arqonbus_client::protocol::{Refusal, Retry};
use arqonbus_client::{EndReason, Error, Fault};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyDict;

/// The exception for an error of the client.
pub(crate) fn raise(py: Python<'_>, error: &Error) -> PyErr {
    let text = error.to_string();
    match error {
        Error::Rejected(refusal) => rejected(py, refusal),
        Error::Unknown => build(py, "unknown", &text, &[]),
        Error::NotSent => build(py, "not_sent", &text, &[]),
        Error::Full => build(py, "full", &text, &[]),
        Error::Closed(fault) => closed(py, fault),
        Error::Decode(_) => build(py, "decode", &text, &[]),
        Error::Invalid(why) => invalid(why),
        // A variant that a later client adds is still an error of the bus.
        other => build(py, "bus", &other.to_string(), &[]),
    }
}

/// The exception for the end of a subscription; none where the application ended it.
pub(crate) fn ended(py: Python<'_>, reason: &EndReason) -> Option<PyErr> {
    match reason {
        EndReason::Left | EndReason::Closed(Fault::Closed) => None,
        EndReason::Refused(refusal) => Some(rejected(py, refusal)),
        EndReason::Closed(fault) => Some(closed(py, fault)),
        EndReason::Deleted { .. } => Some(build(py, "deleted", &reason.to_string(), &[])),
        EndReason::TimedOut => Some(build(py, "unknown", &reason.to_string(), &[])),
        EndReason::TooManyTopics => Some(build(py, "invalid", &reason.to_string(), &[])),
    }
}

/// The caller gave something that cannot be sent.
pub(crate) fn invalid(why: impl AsRef<str>) -> PyErr {
    Python::attach(|py| build(py, "invalid", why.as_ref(), &[]))
}

/// An object came out of a fork.
pub(crate) fn forked() -> PyErr {
    Python::attach(|py| build(py, "forked", "made before a fork: connect again in the child", &[]))
}

pub(crate) fn rejected(py: Python<'_>, refusal: &Refusal) -> PyErr {
    let retry = match refusal.retry {
        Retry::Never => "never",
        Retry::Later => "later",
        Retry::After => "after",
    };
    let after = refusal.retry_after_ms.map(|ms| ms.to_string());
    let fields = [("code", Some(refusal.code.as_str())), ("retry", Some(retry)), ("at", refusal.at.as_deref()), ("retry_after_ms", after.as_deref())];
    build(py, "rejected", &refusal.message, &fields)
}

fn closed(py: Python<'_>, fault: &Fault) -> PyErr {
    match fault {
        Fault::Closed => build(py, "closed", &fault.to_string(), &[("reason", Some("closed"))]),
        Fault::Unreachable(_) => build(py, "unreachable", &fault.to_string(), &[("reason", Some("unreachable"))]),
        Fault::Refused(refusal) => rejected(py, refusal),
        Fault::ClosedByServer(code) => {
            build(py, "closed", &fault.to_string(), &[("reason", Some("closed_by_server")), ("close_code", Some(&code.to_string()))])
        }
    }
}

fn build(py: Python<'_>, kind: &str, message: &str, fields: &[(&str, Option<&str>)]) -> PyErr {
    static BUILD: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let made = BUILD.import(py, "arqonbus.errors", "_build").and_then(|build| {
        let named = PyDict::new(py);
        for (name, value) in fields {
            named.set_item(name, value)?;
        }
        build.call((kind, message), Some(&named))
    });
    made.map_or_else(|error| error, PyErr::from_value)
}
