//! Connecting: options, and tokens that change.

use std::sync::{Arc, Mutex};

use arqonbus_client::{Builder, Client, Error};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use tokio::sync::{mpsc, oneshot};

use crate::bridge::{Answer, Bridge, Job};
use crate::bus::Bus;
use crate::errors::invalid;
use crate::json;
use crate::runtime::Runtime;
use crate::sending::seconds;

/// The answer to one request for a token.
type TokenReply = oneshot::Sender<Result<String, String>>;

/// Begins to connect; `future` gets the [`Bus`]. Where tokens
/// are provided by the application, gives the place where the wishes for them come in.
#[pyfunction]
#[pyo3(signature = (url, options, bridge, future))]
pub(crate) fn connect(
    py: Python<'_>,
    url: String,
    options: &Bound<'_, PyDict>,
    bridge: &Bound<'_, Bridge>,
    future: Py<PyAny>,
) -> PyResult<Option<Tokens>> {
    let (builder, tokens) = configure(Client::builder(url).agent(concat!("arqonbus-python/", env!("CARGO_PKG_VERSION"))), options)?;
    let runtime = Runtime::shared()?;
    let mut connecting = AbortOnDrop(runtime.handle().spawn(builder.connect()));
    let bridge_kept = bridge.clone().unbind();
    let job: Job = Box::pin(async move {
        let client = match (&mut connecting.0).await {
            Ok(client) => client?,
            Err(_) => return Err(Error::Unknown),
        };
        Ok(Box::new(move |py: Python<'_>| Ok(Py::new(py, Bus::new(client, runtime, bridge_kept))?.into_any())) as Answer)
    });
    bridge.get().begin(py, job, future)?;
    Ok(tokens)
}

struct AbortOnDrop<T>(tokio::task::JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn configure(mut builder: Builder, options: &Bound<'_, PyDict>) -> PyResult<(Builder, Option<Tokens>)> {
    let mut tokens = None;
    for (name, value) in options.iter() {
        let name: String = name.extract()?;
        builder = match name.as_str() {
            "token" => builder.token(value.extract::<String>()?),
            "name" => builder.name(value.extract::<String>()?),
            "kind" => builder.kind(value.extract::<String>()?),
            "user" => builder.user(value.extract::<String>()?),
            "metadata" => builder.metadata(serde_json::from_str(&json::dumps(&value)?).map_err(|_| invalid("metadata is an object"))?),
            "backoff" => {
                let (base, cap): (f64, f64) = value.extract()?;
                builder.backoff(seconds(base)?, seconds(cap)?)
            }
            "first_attempts" => builder.first_attempts(value.extract()?),
            "connect_timeout" => builder.connect_timeout(seconds(value.extract()?)?),
            "request_timeout" => builder.request_timeout(seconds(value.extract()?)?),
            "publish_timeout" => builder.publish_timeout(seconds(value.extract()?)?),
            "in_flight" => builder.in_flight(value.extract()?, 16 * 1024 * 1024),
            "batch" => builder.batch(value.extract()?),
            "root_certificates" => match value.extract::<Vec<u8>>() {
                Ok(pem) => builder.root_certificates(pem),
                Err(_) => builder.root_certificates(value.extract::<String>()?),
            },
            "token_provider" => {
                let (wanted, wishes) = mpsc::channel::<TokenReply>(1);
                tokens = Some(Tokens { wishes: Arc::new(tokio::sync::Mutex::new(wishes)), open: Mutex::new(None) });
                builder.token_provider(move || ask_for_token(wanted.clone()))
            }
            other => return Err(invalid(format!("no such option: {other}"))),
        };
    }
    Ok((builder, tokens))
}

async fn ask_for_token(wanted: mpsc::Sender<TokenReply>) -> Result<String, String> {
    let (reply, answer) = oneshot::channel();
    wanted.send(reply).await.map_err(|_| "the bus is closed".to_owned())?;
    answer.await.map_err(|_| "the token provider gave nothing".to_owned())?
}

/// The wishes for tokens of one connection, and the answers to them.
#[pyclass(frozen, module = "arqonbus._arqonbus")]
pub(crate) struct Tokens {
    wishes: Arc<tokio::sync::Mutex<mpsc::Receiver<TokenReply>>>,
    open: Mutex<Option<TokenReply>>,
}

#[pymethods]
impl Tokens {
    /// Tells `future` when a token is wanted: true; false when no more will be.
    fn wait(slf: Py<Self>, py: Python<'_>, bridge: &Bound<'_, Bridge>, future: Py<PyAny>) -> PyResult<()> {
        let wishes = Arc::clone(&slf.get().wishes);
        let job: Job = Box::pin(async move {
            let wish = wishes.lock().await.recv().await;
            Ok(Box::new(move |py: Python<'_>| {
                let wanted = wish.is_some();
                *slf.get().open.lock().map_err(crate::runtime::poisoned)? = wish;
                wanted.into_pyobject(py).map(|wanted| wanted.to_owned().into_any().unbind()).map_err(Into::into)
            }) as Answer)
        });
        bridge.get().begin(py, job, future)
    }

    /// Answers the wish that was told last, with a token or with why there is none.
    #[pyo3(signature = (token, why = None))]
    fn answer(&self, token: Option<String>, why: Option<String>) -> PyResult<()> {
        if let Some(open) = self.open.lock().map_err(crate::runtime::poisoned)?.take() {
            let _not_waited_for = open.send(token.ok_or_else(|| why.unwrap_or_else(|| "no token".to_owned())));
        }
        Ok(())
    }
}
