//! The private extension module of the Python package `arqonbus`: a thin layer over the Rust client.

mod bridge;
mod bus;
mod connect;
mod errors;
mod history;
mod jobs;
mod json;
mod message;
mod proof;
mod reading;
mod runtime;
mod sending;
mod subscription;

use pyo3::prelude::*;

/// The Rust half of the package `arqonbus`. Use the package.
#[pymodule]
mod _arqonbus {
    #[pymodule_export]
    use crate::bridge::Bridge;
    #[pymodule_export]
    use crate::bus::Bus;
    #[pymodule_export]
    use crate::connect::{Tokens, connect};
    #[pymodule_export]
    use crate::history::History;
    #[pymodule_export]
    use crate::jobs::{Job, Lost};
    #[pymodule_export]
    use crate::json::{dumps, loads};
    #[pymodule_export]
    use crate::message::{Ack, Deleted, Ended, Gap, Message, Missed, Position, Presence};
    #[pymodule_export]
    use crate::proof::{Core, decode, refusal};
    #[pymodule_export]
    use crate::runtime::{after_fork_in_child, runtime_threads};
    #[pymodule_export]
    use crate::subscription::Subscription;

    #[pymodule_export]
    #[expect(non_upper_case_globals, reason = "the name that Python expects")]
    const __version__: &str = env!("CARGO_PKG_VERSION");
}

pub(crate) fn unix_ms_to_datetime<'py>(py: Python<'py>, unix_ms: u64) -> PyResult<Bound<'py, PyAny>> {
    use pyo3::sync::PyOnceLock;
    static PARTS: PyOnceLock<(Py<PyAny>, Py<PyAny>)> = PyOnceLock::new();
    let (from_timestamp, utc) = PARTS.get_or_try_init(py, || {
        let module = py.import("datetime")?;
        let from_timestamp = module.getattr("datetime")?.getattr("fromtimestamp")?.unbind();
        Ok::<_, PyErr>((from_timestamp, module.getattr("timezone")?.getattr("utc")?.unbind()))
    })?;
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of our time are exact in a double")]
    from_timestamp.bind(py).call1((unix_ms as f64 / 1_000.0, utc))
}
