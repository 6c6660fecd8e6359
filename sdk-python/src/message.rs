//! What the bus gives: messages, acks, positions, gaps, presence.

use arqonbus_client::protocol::{self, ClientId, MessageId, PublishResult, UserId};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyMapping, PyString, PyType};

use crate::errors::invalid;
use crate::json;

/// A place in a topic: what is compared and handed back, never ordered across epochs.
#[pyclass(frozen, eq, hash, get_all, module = "arqonbus")]
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Position {
    epoch: String,
    seq: u64,
}

#[pymethods]
impl Position {
    #[classattr]
    #[expect(non_upper_case_globals, reason = "the name that Python expects")]
    const __match_args__: (&'static str, &'static str) = ("epoch", "seq");

    #[new]
    fn new(epoch: String, seq: u64) -> PyResult<Self> {
        let position = Self { epoch, seq };
        position.to_wire().map(|_| position)
    }

    fn __repr__(&self) -> String {
        format!("Position(epoch='{}', seq={})", self.epoch, self.seq)
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> (Bound<'py, PyType>, (String, u64)) {
        (py.get_type::<Self>(), (self.epoch.clone(), self.seq))
    }
}

impl Position {
    pub(crate) fn to_wire(&self) -> PyResult<protocol::Position> {
        if self.seq > protocol::SEQ_MAX {
            return Err(invalid("a seq is at most 2**53 - 1"));
        }
        let epoch = self.epoch.parse().map_err(|error: protocol::Invalid| invalid(error.expected))?;
        Ok(protocol::Position { epoch, seq: self.seq })
    }
}

impl From<protocol::Position> for Position {
    fn from(position: protocol::Position) -> Self {
        Self { epoch: position.epoch.to_string(), seq: position.seq }
    }
}

/// The server's word that a message is stored: where, and what that survives.
#[pyclass(frozen, get_all, module = "arqonbus")]
pub(crate) struct Ack {
    /// Its place; none where the target keeps no order.
    position: Option<Py<Position>>,
    /// `none`, `memory`, `file`, `file_fsync`, `redis` or `redis_fsync`.
    durability: &'static str,
    /// Whether the same id was stored before.
    duplicate: bool,
}

#[pymethods]
impl Ack {
    #[classattr]
    #[expect(non_upper_case_globals, reason = "the name that Python expects")]
    const __match_args__: (&'static str, &'static str, &'static str) = ("position", "durability", "duplicate");

    fn __repr__(&self, py: Python<'_>) -> String {
        let position = self.position.as_ref().map_or("None".to_owned(), |position| position.bind(py).get().__repr__());
        let duplicate = if self.duplicate { "True" } else { "False" };
        format!("Ack(position={position}, durability='{}', duplicate={duplicate})", self.durability)
    }
}

impl Ack {
    pub(crate) fn new(py: Python<'_>, result: &PublishResult) -> PyResult<Self> {
        let position = result.position.map(|position| Py::new(py, Position::from(position))).transpose()?;
        Ok(Self { position, durability: result.durability.as_str(), duplicate: result.duplicate })
    }
}

/// A message as it was delivered.
#[pyclass(frozen, module = "arqonbus")]
pub(crate) struct Message {
    pub(crate) inner: arqonbus_client::Message,
    payload: PyOnceLock<Py<PyAny>>,
}

impl From<arqonbus_client::Message> for Message {
    fn from(inner: arqonbus_client::Message) -> Self {
        Self { inner, payload: PyOnceLock::new() }
    }
}

#[pymethods]
impl Message {
    /// The sender's idempotency key.
    #[getter]
    fn id(&self) -> &str {
        self.inner.id().as_str()
    }

    /// The topic, `room:channel`; `None` where it went elsewhere.
    #[getter]
    fn topic(&self) -> Option<String> {
        self.inner.topic().map(ToString::to_string)
    }

    /// Where it went: a topic, a room, a client id, `user:<id>` or `*`.
    #[getter]
    fn target(&self) -> String {
        self.inner.target().to_string()
    }

    /// The room of its topic or broadcast.
    #[getter]
    fn room(&self) -> Option<String> {
        match self.inner.target() {
            protocol::Target::Topic(topic) => Some(topic.room.to_string()),
            protocol::Target::Room(room) => Some(room.to_string()),
            protocol::Target::Client(_) | protocol::Target::User(_) | protocol::Target::Everyone => None,
        }
    }

    /// The channel of its topic.
    #[getter]
    fn channel(&self) -> Option<String> {
        self.inner.topic().map(|topic| topic.channel.to_string())
    }

    /// The client id that sent it.
    #[getter]
    fn sender(&self) -> &str {
        self.inner.sender().as_str()
    }

    /// The user whom the sender acts for.
    #[getter]
    fn user(&self) -> Option<&str> {
        self.inner.user().map(UserId::as_str)
    }

    /// When the server took it, by its clock, in UTC.
    #[getter]
    fn timestamp<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        crate::unix_ms_to_datetime(py, self.inner.timestamp().unix_ms())
    }

    /// Its place in the topic; give it to `since` to go on after this message.
    #[getter]
    fn position(&self) -> Option<Position> {
        self.inner.position().map(Into::into)
    }

    /// The client that waits for an answer.
    #[getter]
    fn reply_to(&self) -> Option<&str> {
        self.inner.reply_to().map(ClientId::as_str)
    }

    /// The id of the message that this one answers.
    #[getter]
    fn correlation_id(&self) -> Option<&str> {
        self.inner.correlation_id().map(MessageId::as_str)
    }

    /// The headers by name.
    #[getter]
    fn headers(&self) -> std::collections::BTreeMap<String, String> {
        self.inner.headers()
    }

    /// The payload as plain Python objects, read once.
    #[getter]
    fn payload(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.payload.get_or_try_init(py, || json::loads(py, self.inner.payload_json())).map(|payload| payload.clone_ref(py))
    }

    /// The payload as the JSON text that was sent.
    #[getter]
    fn raw(&self) -> &str {
        self.inner.payload_json()
    }

    /// The payload as an object of a type: a dataclass, a pydantic model, a msgspec struct, or what their libraries read.
    fn payload_as<'py>(&self, py: Python<'py>, kind: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        static READ: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        READ.import(py, "arqonbus._payload", "payload_as")?.call1((kind, self.raw()))
    }

    /// The whole message as the envelope that came over the wire.
    fn to_json(&self) -> String {
        self.inner.to_json()
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let seq = self.inner.position().map(|position| format!(" seq={}", position.seq)).unwrap_or_default();
        let raw = self.raw();
        let shown: String = raw.chars().take(80).collect();
        let dots = if shown.len() < raw.len() { "…" } else { "" };
        let target = PyString::new(py, &self.target()).repr()?.to_string();
        Ok(format!("<Message {target}{seq} from {}: {shown}{dots}>", self.sender()))
    }
}

/// Messages of a topic that were not and will not be delivered; told before the first one after the hole.
#[pyclass(frozen, get_all, module = "arqonbus")]
pub(crate) struct Gap {
    topic: String,
    /// `epoch_changed`, `trimmed`, `ahead`, `degraded`, `restored`, `conflated` or `limit`.
    reason: &'static str,
    /// The last position before the hole.
    after: Option<Position>,
    /// The last position in the hole.
    to: Position,
    /// Seconds to wait before asking for what is missing, so that not everybody does at once.
    refetch_after: f64,
}

#[pymethods]
impl Gap {
    #[classattr]
    #[expect(non_upper_case_globals, reason = "the name that Python expects")]
    const __match_args__: (&'static str, &'static str) = ("topic", "reason");

    fn __repr__(&self) -> String {
        let after = self.after.as_ref().map_or("None".to_owned(), Position::__repr__);
        format!("Gap(topic='{}', reason='{}', after={after}, to={})", self.topic, self.reason, self.to.__repr__())
    }
}

impl Gap {
    pub(crate) fn new(topic: String, gap: &protocol::Gap) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "a wait needs no 53 bits")]
        let refetch_after = gap.refetch_after_ms as f64 / 1_000.0;
        Self { topic, reason: gap.reason.as_str(), after: gap.from.map(Into::into), to: gap.to.into(), refetch_after }
    }
}

/// Somebody joined or left a topic.
#[pyclass(frozen, get_all, module = "arqonbus")]
pub(crate) struct Presence {
    topic: String,
    /// True for joined, false for left.
    joined: bool,
    client: String,
    user: Option<String>,
    name: Option<String>,
    kind: Option<String>,
    /// Members now.
    members: u64,
}

#[pymethods]
impl Presence {
    #[classattr]
    #[expect(non_upper_case_globals, reason = "the name that Python expects")]
    const __match_args__: (&'static str, &'static str, &'static str) = ("topic", "joined", "client");

    fn __repr__(&self) -> String {
        let verb = if self.joined { "joined" } else { "left" };
        format!("<Presence {} {verb} {}, {} members>", self.client, self.topic, self.members)
    }
}

impl Presence {
    pub(crate) fn new(topic: String, joined: bool, presence: protocol::Presence) -> Self {
        let protocol::Presence { client, user, name, kind, members, .. } = presence;
        Self { topic, joined, client: client.to_string(), user: user.map(|user| user.to_string()), name, kind, members }
    }
}

/// One topic of a pattern was deleted.
#[pyclass(frozen, get_all, module = "arqonbus")]
pub(crate) struct Deleted {
    pub(crate) topic: String,
    /// The client that deleted it.
    pub(crate) by: String,
}

#[pymethods]
impl Deleted {
    #[classattr]
    #[expect(non_upper_case_globals, reason = "the name that Python expects")]
    const __match_args__: (&'static str, &'static str) = ("topic", "by");

    fn __repr__(&self) -> String {
        format!("Deleted(topic='{}', by='{}')", self.topic, self.by)
    }
}

/// Private messages or broadcasts gave way before they were read.
#[pyclass(frozen, get_all, module = "arqonbus")]
pub(crate) struct Missed {
    /// How many.
    pub(crate) count: u64,
}

#[pymethods]
impl Missed {
    #[classattr]
    #[expect(non_upper_case_globals, reason = "the name that Python expects")]
    const __match_args__: (&'static str,) = ("count",);

    fn __repr__(&self) -> String {
        format!("Missed(count={})", self.count)
    }
}

/// The end of a subscription, for the package only.
#[pyclass(frozen, get_all, module = "arqonbus._arqonbus")]
pub(crate) struct Ended {
    pub(crate) error: Option<Py<PyAny>>,
}

/// Headers as pairs.
pub(crate) fn headers(headers: Option<&Bound<'_, PyMapping>>) -> PyResult<Vec<(String, String)>> {
    let Some(headers) = headers else { return Ok(Vec::new()) };
    headers.items()?.extract().map_err(|_: PyErr| invalid("headers are text by text"))
}
