//! A connection: every call becomes a future that the event loop's thread polls.

use std::future::Future;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use arqonbus_client::{Client, Error, Fault};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use tokio::sync::{broadcast, watch};

use crate::bridge::{Answer, Bridge};
use crate::errors;
use crate::history::History;
use crate::json;
use crate::message::{Ack, Message};
use crate::reading::{self, Joined};
use crate::runtime::{Runtime, check_generation, generation};
use crate::sending::{Sent, parse_command};
use crate::subscription::Subscription;

/// A connection to the bus.
#[pyclass(frozen, module = "arqonbus._arqonbus")]
pub(crate) struct Bus {
    client: Mutex<Option<Client>>,
    runtime: Mutex<Option<Arc<Runtime>>>,
    bridge: Py<Bridge>,
    generation: u64,
    /// Whose turn it is to hand a publish over: one waits for room, the others behind it, so that the order of the calls is kept.
    turns: Arc<tokio::sync::Mutex<()>>,
    states: Mutex<watch::Receiver<arqonbus_client::State>>,
    /// The state that `next_state` gave last.
    given: Arc<Mutex<Option<arqonbus_client::State>>>,
    refusals: Arc<tokio::sync::Mutex<broadcast::Receiver<arqonbus_client::protocol::Refusal>>>,
}

impl Bus {
    pub(crate) fn new(client: Client, runtime: Arc<Runtime>, bridge: Py<Bridge>) -> Self {
        Self {
            states: Mutex::new(client.watch_state()),
            given: Arc::default(),
            turns: Arc::default(),
            refusals: Arc::new(tokio::sync::Mutex::new(client.refusals())),
            client: Mutex::new(Some(client)),
            runtime: Mutex::new(Some(runtime)),
            bridge,
            generation: generation(),
        }
    }

    fn client(&self) -> PyResult<Client> {
        check_generation(self.generation)?;
        let client = self.client.lock().map_err(crate::runtime::poisoned)?.clone();
        client.ok_or_else(|| Python::attach(|py| errors::raise(py, &Error::Closed(Fault::Closed))))
    }

    fn begin(&self, py: Python<'_>, future: Py<PyAny>, call: impl Future<Output = Result<Answer, Error>> + Send + 'static) -> PyResult<()> {
        self.bridge.bind(py).get().begin(py, Box::pin(call), future)
    }
}

#[pymethods]
impl Bus {
    /// Sends, and gives `future` the ack.
    fn publish(
        &self,
        py: Python<'_>,
        target: &str,
        payload: &Bound<'_, PyAny>,
        options: Option<&Bound<'_, PyDict>>,
        future: Py<PyAny>,
    ) -> PyResult<()> {
        let (client, sent) = (self.client()?, Sent::new(target, payload, options)?);
        let turns = Arc::clone(&self.turns);
        self.begin(py, future, async move {
            let turn = turns.lock().await;
            let receipt = sent.apply(&client).send().await?;
            drop(turn);
            let ack = receipt.await?;
            Ok(Box::new(move |py: Python<'_>| Ok(Py::new(py, Ack::new(py, &ack)?)?.into_any())) as Answer)
        })
    }

    /// Sends without an ack. False where the client is at its bound: nothing was sent then.
    fn publish_nowait(&self, py: Python<'_>, target: &str, payload: &Bound<'_, PyAny>, options: Option<&Bound<'_, PyDict>>) -> PyResult<bool> {
        let (client, sent) = (self.client()?, Sent::new(target, payload, options)?);
        let Ok(_turn) = self.turns.try_lock() else { return Ok(false) };
        let mut sending = Box::pin(async { sent.apply(&client).nowait().await });
        match sending.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(())) => Ok(true),
            Poll::Ready(Err(error)) => Err(errors::raise(py, &error)),
            Poll::Pending => Ok(false),
        }
    }

    /// Sends a request, and gives `future` the reply.
    fn request(
        &self,
        py: Python<'_>,
        topic: &str,
        payload: &Bound<'_, PyAny>,
        options: Option<&Bound<'_, PyDict>>,
        future: Py<PyAny>,
    ) -> PyResult<()> {
        let (client, sent) = (self.client()?, Sent::new(topic, payload, options)?);
        self.begin(py, future, async move {
            let mut request = client.request_json_to(sent.target, &sent.payload);
            for (name, value) in sent.headers {
                request = request.header(name, value);
            }
            if let Some(timeout) = sent.timeout {
                request = request.timeout(timeout);
            }
            let reply = request.await?;
            Ok(Box::new(move |py: Python<'_>| Ok(Py::new(py, Message::from(reply))?.into_any())) as Answer)
        })
    }

    /// Answers a request, and gives `future` the ack.
    fn reply(&self, py: Python<'_>, request: &Bound<'_, Message>, payload: &Bound<'_, PyAny>, future: Py<PyAny>) -> PyResult<()> {
        let (client, request, payload) = (self.client()?, request.get().inner.clone(), json::dumps(payload)?);
        self.begin(py, future, async move {
            let ack = client.reply_json(&request, &payload).await?;
            Ok(Box::new(move |py: Python<'_>| Ok(Py::new(py, Ack::new(py, &ack)?)?.into_any())) as Answer)
        })
    }

    /// Joins a topic or pattern, and gives `future` the [`Subscription`].
    fn join(&self, py: Python<'_>, pattern: String, options: &Bound<'_, PyDict>, future: Py<PyAny>) -> PyResult<()> {
        let (client, joined) = (self.client()?, Joined::new(pattern, options)?);
        let bridge = self.bridge.clone_ref(py);
        self.begin(py, future, async move {
            if let Some(group) = joined.group(&client) {
                let jobs = group.await?;
                return Ok(Box::new(move |py: Python<'_>| Ok(Py::new(py, Subscription::jobs(py, jobs, bridge)?)?.into_any())) as Answer);
            }
            let subscription = joined.ordinary(&client).await?;
            Ok(Box::new(move |py: Python<'_>| Ok(Py::new(py, Subscription::joined(py, subscription, bridge))?.into_any())) as Answer)
        })
    }

    /// Opens an inbox, and gives it to `future`.
    fn inbox(&self, py: Python<'_>, future: Py<PyAny>) -> PyResult<()> {
        let (client, bridge) = (self.client()?, self.bridge.clone_ref(py));
        self.begin(py, future, async move {
            let inbox = client.inbox().await?;
            Ok(Box::new(move |py: Python<'_>| Ok(Py::new(py, Subscription::inbox(py, inbox, bridge))?.into_any())) as Answer)
        })
    }

    /// Sends a command, and gives `future` its result.
    fn command(&self, py: Python<'_>, command: &str, args: &Bound<'_, PyDict>, future: Py<PyAny>) -> PyResult<()> {
        let (client, command) = (self.client()?, parse_command(py, command, args)?);
        self.begin(py, future, async move {
            let result = client.command_json(command).await?;
            Ok(Box::new(move |py: Python<'_>| json::loads(py, &result)) as Answer)
        })
    }

    /// Begins to read a topic's history.
    fn history(&self, py: Python<'_>, topic: String, options: &Bound<'_, PyDict>) -> PyResult<History> {
        let history = reading::history(&self.client()?, &topic, options)?;
        Ok(History::new(topic, history, self.bridge.clone_ref(py)))
    }

    /// How the connection is.
    #[getter]
    fn state(&self) -> PyResult<&'static str> {
        Ok(self.client.lock().map_err(crate::runtime::poisoned)?.as_ref().map_or("closed", |client| client.state().as_str()))
    }

    /// Gives `future` the next state that differs from the one given last; none after `closed`.
    fn next_state(&self, py: Python<'_>, future: Py<PyAny>) -> PyResult<()> {
        let mut states = self.states.lock().map_err(crate::runtime::poisoned)?.clone();
        let given = Arc::clone(&self.given);
        self.begin(py, future, async move {
            let state = states.wait_for(|state| given.lock().is_ok_and(|given| *given != Some(*state))).await.map(|state| *state).ok();
            if let Ok(mut given) = given.lock() {
                *given = state.or(*given);
            }
            Ok(Box::new(move |py: Python<'_>| Ok(state.map(arqonbus_client::State::as_str).into_pyobject(py)?.into_any().unbind())) as Answer)
        })
    }

    /// Gives `future` the next refusal that nobody waits for, as an exception; none once the client is closed and all were given.
    fn next_refusal(&self, py: Python<'_>, future: Py<PyAny>) -> PyResult<()> {
        let refusals = Arc::clone(&self.refusals);
        let mut states = self.states.lock().map_err(crate::runtime::poisoned)?.clone();
        self.begin(py, future, async move {
            let mut refusals = refusals.lock().await;
            let refusal = loop {
                let next = tokio::select! {
                    biased;
                    next = refusals.recv() => next,
                    // Whatever was refused before stands in the queue by now.
                    _ = states.wait_for(|state| *state == arqonbus_client::State::Closed) => match refusals.try_recv() {
                        Ok(refusal) => Ok(refusal),
                        Err(broadcast::error::TryRecvError::Lagged(lost)) => Err(broadcast::error::RecvError::Lagged(lost)),
                        Err(broadcast::error::TryRecvError::Empty | broadcast::error::TryRecvError::Closed) => {
                            Err(broadcast::error::RecvError::Closed)
                        }
                    },
                };
                match next {
                    Ok(refusal) => break Some(refusal),
                    // The oldest were dropped; the newest say enough.
                    Err(broadcast::error::RecvError::Lagged(_)) => {}
                    Err(broadcast::error::RecvError::Closed) => break None,
                }
            };
            Ok(Box::new(move |py: Python<'_>| {
                Ok(refusal.map_or_else(|| py.None(), |refusal| errors::rejected(py, &refusal).into_value(py).into_any()))
            }) as Answer)
        })
    }

    /// This client's id, its user, and whether the id is the one of an earlier connection.
    #[getter]
    fn identity(&self) -> PyResult<Option<(String, Option<String>, bool)>> {
        let identity = self.client.lock().map_err(crate::runtime::poisoned)?.as_ref().and_then(Client::identity);
        Ok(identity.map(|identity| (identity.client.to_string(), identity.user.map(|user| user.to_string()), identity.resumed)))
    }

    /// Why the connection was lost the last time, for people.
    #[getter]
    fn last_loss(&self) -> PyResult<Option<String>> {
        Ok(self.client.lock().map_err(crate::runtime::poisoned)?.as_ref().and_then(Client::last_loss))
    }

    /// The exception that says why the client is closed, unless the application closed it.
    #[getter]
    fn fault(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        let fault = self.client.lock().map_err(crate::runtime::poisoned)?.as_ref().and_then(Client::fault);
        let fault = fault.filter(|fault| *fault != Fault::Closed);
        Ok(fault.map(|fault| errors::raise(py, &Error::Closed(fault)).into_value(py).into_any()))
    }

    /// Replaces the credentials, also of the live connection.
    fn set_token(&self, py: Python<'_>, token: String, future: Py<PyAny>) -> PyResult<()> {
        let client = self.client()?;
        self.begin(py, future, async move {
            client.set_token(token).await?;
            Ok(nothing())
        })
    }

    /// Looks at once whether the connection lives.
    fn wake(&self, py: Python<'_>, future: Py<PyAny>) -> PyResult<()> {
        let client = self.client()?;
        self.begin(py, future, async move {
            client.wake().await?;
            Ok(nothing())
        })
    }

    /// Closes, at once or after what is in flight, and tells `future` when nothing of the connection is left.
    fn close(&self, py: Python<'_>, drain: bool, future: Py<PyAny>) -> PyResult<()> {
        let client = self.client()?;
        self.begin(py, future, async move {
            if drain {
                client.drain().await;
            } else {
                client.close().await;
            }
            client.ended().await;
            Ok(nothing())
        })
    }

    /// Lets go of the background thread. The last one to do so ends it, and waits for its end where `wait` says so: after `close`.
    fn release(&self, py: Python<'_>, wait: bool) -> PyResult<()> {
        check_generation(self.generation)?;
        let client = self.client.lock().map_err(crate::runtime::poisoned)?.take();
        drop(client);
        let runtime = self.runtime.lock().map_err(crate::runtime::poisoned)?.take();
        match runtime {
            Some(runtime) if wait => runtime.release(py),
            runtime => drop(runtime),
        }
        Ok(())
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        if self.generation != generation() {
            // The socket belongs to the parent.
            std::mem::forget(self.client.get_mut().ok().and_then(Option::take));
        }
    }
}

fn nothing() -> Answer {
    Box::new(|py| Ok(py.None()))
}
