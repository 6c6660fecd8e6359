//! Work groups: jobs, and what becomes of them.

use std::sync::Arc;
use std::time::Duration;

use arqonbus_client::{Error, WorkItem};
use pyo3::prelude::*;

use crate::bridge::{Answer, Bridge};
use crate::errors;
use crate::message::{Ended, Gap, Message};
use crate::sending::seconds;

/// A message in the care of this client, until it is settled.
#[pyclass(frozen, module = "arqonbus._arqonbus")]
pub(crate) struct Job {
    inner: Arc<arqonbus_client::Job>,
    message: Py<Message>,
    bridge: Py<Bridge>,
}

#[pymethods]
impl Job {
    /// What it is about.
    #[getter]
    fn message(&self, py: Python<'_>) -> Py<Message> {
        self.message.clone_ref(py)
    }

    /// How often it was given out, this time included.
    #[getter]
    fn delivery(&self) -> u32 {
        self.inner.delivery()
    }

    /// Says that it is done, and tells `future` when the server knows.
    fn ack(&self, py: Python<'_>, future: Py<PyAny>) -> PyResult<()> {
        let job = Arc::clone(&self.inner);
        self.settle(py, future, async move { job.ack().await })
    }

    /// Gives it back, and tells `future` when the server knows.
    #[pyo3(signature = (delay, reason, dead, future))]
    fn nack(&self, py: Python<'_>, delay: Option<f64>, reason: Option<String>, dead: bool, future: Py<PyAny>) -> PyResult<()> {
        let (job, delay): (_, Option<Duration>) = (Arc::clone(&self.inner), delay.map(seconds).transpose()?);
        self.settle(py, future, async move {
            let mut nack = job.nack();
            if let Some(delay) = delay {
                nack = nack.delay(delay);
            }
            if let Some(reason) = reason {
                nack = nack.reason(reason);
            }
            if dead { nack.dead().await } else { nack.await }
        })
    }
}

impl Job {
    fn settle(&self, py: Python<'_>, future: Py<PyAny>, settling: impl Future<Output = Result<(), Error>> + Send + 'static) -> PyResult<()> {
        let call = async move {
            settling.await?;
            Ok(Box::new(|py: Python<'_>| Ok(py.None())) as Answer)
        };
        self.bridge.bind(py).get().begin(py, Box::pin(call), future)
    }
}

/// Jobs that this client held, and had said nothing about, went to others.
#[pyclass(frozen, get_all, module = "arqonbus")]
pub(crate) struct Lost {
    /// How many.
    count: u64,
}

#[pymethods]
impl Lost {
    #[classattr]
    #[expect(non_upper_case_globals, reason = "the name that Python expects")]
    const __match_args__: (&'static str,) = ("count",);

    fn __repr__(&self) -> String {
        format!("Lost(count={})", self.count)
    }
}

/// An item of a group as Python sees it.
pub(crate) fn to_python(py: Python<'_>, bridge: &Py<Bridge>, item: WorkItem) -> PyResult<Py<PyAny>> {
    let object = match item {
        WorkItem::Job(job) => {
            let message = Py::new(py, Message::from(job.message().clone()))?;
            Py::new(py, Job { inner: Arc::new(job), message, bridge: bridge.clone_ref(py) })?.into_any()
        }
        WorkItem::Gap { topic, gap } => Py::new(py, Gap::new(topic.to_string(), &gap))?.into_any(),
        WorkItem::Lost(count) => Py::new(py, Lost { count })?.into_any(),
        WorkItem::Ended(reason) => Py::new(py, Ended { error: errors::ended(py, &reason).map(|error| error.into_value(py).into_any()) })?.into_any(),
        // What a later client adds is for later bindings.
        _ => py.None(),
    };
    Ok(object)
}
