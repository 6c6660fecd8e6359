//! Client → server: `message` and `command`.

use super::fields::{Fields, flag, invalid, one_line, optional, text};
use super::write::ObjectWriter;
use super::{Malformed, Target};
use crate::json::{RawJson, Write, members, written};
use crate::{Command, CorrelationId, ErrorCode, MessageId, Refusal, Topic, limits};

/// What a client sends.
#[derive(Debug, Clone, PartialEq)]
pub enum ClientEnvelope<'a> {
    /// Something to deliver.
    Message(Publish<'a>),
    /// Something to do.
    Command(Request),
}

/// A message on its way in (FR-020).
#[derive(Debug, Clone, PartialEq)]
pub struct Publish<'a> {
    /// The idempotency key; the server makes one where there is none.
    pub id: Option<MessageId>,
    /// Where it goes.
    pub target: Target,
    /// Any JSON value, relayed byte for byte.
    pub payload: RawJson<'a>,
    /// An object of strings, relayed byte for byte.
    pub headers: Option<RawJson<'a>>,
    /// The message that this one answers.
    pub correlation_id: Option<CorrelationId>,
    /// Whether somebody is expected to answer.
    pub request: bool,
    /// Whether the sender wants to hear of success too.
    pub ack: bool,
    /// Whether the sender's own connection is left out.
    pub exclude_sender: bool,
}

/// A command on its way in (FR-024).
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// Comes back as `request_id`; the server makes one where there is none.
    pub id: Option<MessageId>,
    /// The command with its arguments.
    pub command: Command,
}

impl<'a> ClientEnvelope<'a> {
    /// Reads one envelope.
    ///
    /// # Errors
    /// [`Malformed`] with a code, a pointer, and the request's id where it was readable.
    pub fn decode(text: &'a str) -> Result<Self, Box<Malformed>> {
        let fields = Fields::scan(text)?;
        fields.client_envelope().map_err(|refusal| Box::new(Malformed { id: fields.readable_id(), refusal }))
    }
}

impl<'a> Fields<'a> {
    fn client_envelope(&self) -> Result<ClientEnvelope<'a>, Refusal> {
        let kind = text(Self::need(self.kind, "type", "/type")?, "/type")?;
        match kind.as_ref() {
            "message" => self.publish().map(ClientEnvelope::Message),
            "command" => self.request().map(ClientEnvelope::Command),
            _ => Err(Refusal::new(ErrorCode::UnknownType, format!("no such type: {}; a client sends message or command", echo(&kind))).at("/type")),
        }
    }

    fn publish(&self) -> Result<Publish<'a>, Refusal> {
        self.refuse_server_fields()?;
        Ok(Publish {
            id: optional(self.id, "/id")?,
            target: self.target().and_then(refuse_reserved)?,
            payload: one_line(Self::need(self.payload, "payload", "/payload")?, "/payload")?,
            headers: self.headers.map(headers).transpose()?,
            correlation_id: optional(self.correlation_id, "/correlation_id")?,
            request: flag(self.request, "/request")?,
            ack: flag(self.ack, "/ack")?,
            exclude_sender: flag(self.exclude_sender, "/exclude_sender")?,
        })
    }

    fn request(&self) -> Result<Request, Refusal> {
        self.refuse_server_fields()?;
        let id = optional(self.id, "/id")?;
        let name = text(Self::need(self.command, "command", "/command")?, "/command")?;
        let args = self.args.unwrap_or(RawJson::EMPTY_OBJECT);
        if !args.as_str().starts_with('{') {
            return Err(invalid("args is an object", "/args"));
        }
        let command = Command::parse(&name, args)
            .unwrap_or_else(|| Err(Refusal::new(ErrorCode::UnknownCommand, format!("no such command: {}; see help", echo(&name))).at("/command")))?;
        Ok(Request { id, command })
    }

    /// The server's own facts cannot be supplied by a client, not even by mistake.
    fn refuse_server_fields(&self) -> Result<(), Refusal> {
        let own = [
            (self.sender, "/sender"),
            (self.user, "/user"),
            (self.timestamp, "/timestamp"),
            (self.epoch, "/epoch"),
            (self.seq, "/seq"),
            (self.reply_to, "/reply_to"),
            (self.group, "/group"),
            (self.delivery, "/delivery"),
        ];
        match own.into_iter().find(|(value, _)| value.is_some()) {
            Some((_, at)) => Err(invalid("the server sets this field", at)),
            None => Ok(()),
        }
    }
}

/// Names with a leading `_` are the server's: joinable, never publishable.
fn refuse_reserved(target: Target) -> Result<Target, Refusal> {
    let at = match target {
        Target::Topic(Topic { room, .. }) | Target::Room(room) if room.is_reserved() => "/room",
        Target::Topic(Topic { channel, .. }) if channel.is_reserved() => "/channel",
        Target::Topic(_) | Target::Room(_) | Target::Client(_) | Target::User(_) | Target::Everyone => return Ok(target),
    };
    Err(Refusal::new(ErrorCode::InvalidName, "names that begin with _ are the server's").at(at))
}

/// Checks headers: an object of at most [`limits::HEADERS_MAX`] strings.
pub(super) fn headers(raw: RawJson<'_>) -> Result<RawJson<'_>, Refusal> {
    const AT: &str = "/headers";
    let raw = one_line(raw, AT)?;
    if raw.as_str().len() > limits::HEADERS_BYTES_MAX {
        return Err(Refusal::new(ErrorCode::TooLarge, format!("headers have at most {} bytes", limits::HEADERS_BYTES_MAX)).at(AT));
    }
    let (mut count, mut fault) = (0, None);
    members(raw.as_str(), limits::DEPTH_MAX, |key, value| {
        count += 1;
        if key.parse::<MessageId>().is_err() {
            fault.get_or_insert(invalid("a header's name is 1 to 64 of A-Z a-z 0-9 _ . : -", AT));
        } else if value.string().is_none() {
            fault.get_or_insert(invalid("a header is a string", "").at(format!("{AT}/{key}")));
        }
    })
    .map_err(|_| invalid("headers is an object of strings", AT))?;
    if count > limits::HEADERS_MAX {
        return Err(Refusal::new(ErrorCode::TooLarge, format!("a message has at most {} headers", limits::HEADERS_MAX)).at(AT));
    }
    fault.map_or(Ok(raw), Err)
}

/// A foreign text for an error message: escaped and short.
fn echo(text: &str) -> String {
    let escaped: String = text.escape_debug().take(limits::ECHO_CHARS_MAX).collect();
    format!("\"{escaped}\"")
}

impl Publish<'_> {
    /// Writes it as one line of JSON.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut out = Vec::with_capacity(160 + self.payload.as_str().len());
        let mut object = ObjectWriter::open(&mut out, "message");
        object.optional("id", self.id.as_ref().map(MessageId::as_bytes));
        object.target(&self.target);
        object.optional("correlation_id", self.correlation_id.as_ref().map(MessageId::as_bytes));
        for (name, flag) in [("request", self.request), ("ack", self.ack), ("exclude_sender", self.exclude_sender)] {
            if flag {
                object.raw(name, b"true");
            }
        }
        if let Some(headers) = self.headers {
            object.raw("headers", headers.as_str().as_bytes());
        }
        object.raw("payload", self.payload.as_str().as_bytes());
        object.close();
        written(out)
    }
}

impl Request {
    /// Writes it as one line of JSON.
    #[must_use]
    pub fn encode(&self) -> String {
        encode_command(self.id.as_ref(), self.command.name(), &RawJson::from_encoder(&self.command.args_json()))
    }
}

/// Writes a command whose arguments are written without serde, or are JSON already. `name` is of `a-z` and `_`.
#[must_use]
pub fn encode_command(id: Option<&MessageId>, name: &str, args: &dyn Write) -> String {
    let mut out = Vec::with_capacity(192);
    let mut object = ObjectWriter::open(&mut out, "command");
    object.optional("id", id.map(MessageId::as_bytes));
    object.text("command", name.as_bytes());
    object.written("args", args);
    object.close();
    written(out)
}
