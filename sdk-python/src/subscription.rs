//! The queue of a subscription or inbox, as Python reads it: in batches, waiting outside.

use std::pin::Pin;
use std::sync::{Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use arqonbus_client::{Inbox, Item, Jobs, Subscription as Joined};
use futures_util::Stream;
use pyo3::prelude::*;
use pyo3::types::PyList;

use crate::bridge::Bridge;
use crate::errors::{self, invalid};
use crate::jobs;
use crate::message::{Deleted, Ended, Gap, Message, Missed, Position, Presence};
use crate::runtime::{check_generation, generation};

enum Source {
    Joined(Box<Joined>),
    Inbox(Box<Inbox>),
    Jobs(Box<Jobs>),
    /// Left by the application.
    Left,
}

/// What comes of a topic, a pattern, or to this client. Dropping it leaves.
#[pyclass(frozen, module = "arqonbus._arqonbus")]
pub(crate) struct Subscription {
    source: Mutex<Source>,
    bridge: Py<Bridge>,
    token: usize,
    waker: Waker,
    topics: Vec<(String, Position, Position)>,
    group: Option<String>,
    generation: u64,
}

impl Subscription {
    pub(crate) fn joined(py: Python<'_>, joined: Joined, bridge: Py<Bridge>) -> Self {
        let topics = joined.topics().iter().map(|start| (start.topic().to_string(), start.start.into(), start.head.into())).collect();
        let mut subscription = Self::new(py, Source::Joined(Box::new(joined)), bridge);
        subscription.topics = topics;
        subscription
    }

    pub(crate) fn inbox(py: Python<'_>, inbox: Inbox, bridge: Py<Bridge>) -> Self {
        Self::new(py, Source::Inbox(Box::new(inbox)), bridge)
    }

    pub(crate) fn jobs(py: Python<'_>, jobs: Jobs, bridge: Py<Bridge>) -> PyResult<Self> {
        let topics = jobs.topic().map(|start| (start.topic().to_string(), start.start.into(), start.head.into())).into_iter().collect();
        let group = jobs.start().map(serde_json::to_string).transpose().map_err(|error| invalid(error.to_string()))?;
        let mut subscription = Self::new(py, Source::Jobs(Box::new(jobs)), bridge);
        (subscription.topics, subscription.group) = (topics, group);
        Ok(subscription)
    }

    fn new(py: Python<'_>, source: Source, bridge: Py<Bridge>) -> Self {
        let (token, waker) = bridge.bind(py).get().add_readers();
        Self { source: Mutex::new(source), bridge, token, waker, topics: Vec::new(), group: None, generation: generation() }
    }

    fn source(&self) -> MutexGuard<'_, Source> {
        self.source.lock().expect("nothing panics while it holds this lock")
    }

    /// The next item as a Python object.
    fn poll(&self, py: Python<'_>, cx: &mut Context<'_>) -> Poll<Option<PyResult<Py<PyAny>>>> {
        match &mut *self.source() {
            Source::Joined(joined) => Pin::new(&mut **joined).poll_next(cx).map(|item| item.map(|item| to_python(py, item))),
            Source::Inbox(inbox) => Pin::new(&mut **inbox).poll_next(cx).map(|item| item.map(|item| to_python(py, item))),
            Source::Jobs(jobs) => Pin::new(&mut **jobs).poll_next(cx).map(|item| item.map(|item| jobs::to_python(py, &self.bridge, item))),
            Source::Left => Poll::Ready(None),
        }
    }
}

#[pymethods]
impl Subscription {
    /// Takes up to `items_max` items that are there. Where it gives none, `wait` tells when to look again.
    fn take<'py>(&self, py: Python<'py>, items_max: usize) -> PyResult<Bound<'py, PyList>> {
        check_generation(self.generation)?;
        let batch = PyList::empty(py);
        let mut cx = Context::from_waker(&self.waker);
        for _ in 0..items_max {
            match self.poll(py, &mut cx) {
                Poll::Ready(Some(item)) => batch.append(item?)?,
                Poll::Ready(None) => {
                    batch.append(Ended { error: None })?;
                    break;
                }
                Poll::Pending => break,
            }
        }
        Ok(batch)
    }

    /// Sets the result of `future` as soon as there is something to take; after a `take` that gave nothing.
    fn wait(&self, py: Python<'_>, future: Py<PyAny>) {
        self.bridge.bind(py).get().wait(self.token, future);
    }

    /// Leaves; what waits in the queue is dropped.
    fn leave(&self) {
        let source = std::mem::replace(&mut *self.source(), Source::Left);
        if self.generation == generation() {
            drop(source);
            // Whoever waits sees the end.
            self.waker.wake_by_ref();
        } else {
            std::mem::forget(source);
        }
    }

    /// Topic, start and head of each topic when it was joined.
    #[getter]
    fn topics(&self) -> Vec<(String, Position, Position)> {
        self.topics.clone()
    }

    /// How the work group was when it was joined, as JSON.
    #[getter]
    fn group(&self) -> Option<&str> {
        self.group.as_deref()
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.leave();
        Python::attach(|py| self.bridge.bind(py).get().remove(self.token));
    }
}

fn to_python(py: Python<'_>, item: Item) -> PyResult<Py<PyAny>> {
    let object = match item {
        Item::Message(message) => Py::new(py, Message::from(message))?.into_any(),
        Item::Gap { topic, gap } => Py::new(py, Gap::new(topic.to_string(), &gap))?.into_any(),
        Item::Presence { topic, joined, presence } => Py::new(py, Presence::new(topic.to_string(), joined, presence))?.into_any(),
        Item::Deleted { topic, by } => Py::new(py, Deleted { topic: topic.to_string(), by: by.to_string() })?.into_any(),
        Item::Missed(count) => Py::new(py, Missed { count })?.into_any(),
        Item::Ended(reason) => Py::new(py, Ended { error: errors::ended(py, &reason).map(|error| error.into_value(py).into_any()) })?.into_any(),
        // Jobs come by a group, and what a later client adds is for later bindings.
        Item::Job { .. } | Item::JobsLost(_) | _ => py.None(),
    };
    Ok(object)
}
