//! A topic's past, page by page.

use std::sync::Arc;

use arqonbus_client::History as Pages;
use pyo3::prelude::*;
use pyo3::types::PyList;
use tokio::sync::Mutex;

use crate::bridge::{Answer, Bridge, Job};
use crate::message::{Gap, Message};

/// A history that is being read.
#[pyclass(frozen, module = "arqonbus._arqonbus")]
pub(crate) struct History {
    topic: String,
    pages: Arc<Mutex<Pages>>,
    bridge: Py<Bridge>,
}

impl History {
    pub(crate) fn new(topic: String, pages: Pages, bridge: Py<Bridge>) -> Self {
        Self { topic, pages: Arc::new(Mutex::new(pages)), bridge }
    }
}

#[pymethods]
impl History {
    /// Gives `future` the next page as a list; none after the last.
    fn next_page(&self, py: Python<'_>, future: Py<PyAny>) -> PyResult<()> {
        let pages = Arc::clone(&self.pages);
        let job: Job = Box::pin(async move {
            let Some(page) = pages.lock().await.next_page().await.transpose()? else {
                return Ok(Box::new(|py: Python<'_>| Ok(py.None())) as Answer);
            };
            Ok(Box::new(move |py: Python<'_>| {
                let list = PyList::empty(py);
                for message in page {
                    list.append(Message::from(message))?;
                }
                Ok(list.into_any().unbind())
            }) as Answer)
        });
        self.bridge.bind(py).get().begin(py, job, future)
    }

    /// What lay between `since` and the first message and is no longer held; known after the first page.
    #[getter]
    fn gap(&self) -> Option<Gap> {
        self.pages.try_lock().ok().and_then(|pages| pages.gap().map(|gap| Gap::new(self.topic.clone(), gap)))
    }
}
