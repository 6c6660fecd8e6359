//! A conversation with the bus in JSON: what is sent, what must come, and until when.

use std::collections::VecDeque;
use std::time::Duration;

use arqonbus_protocol::{Position, ServerEnvelope};
use serde_json::{Value, json};

use super::Reach;
use super::clock::{PATIENCE, within};
use super::frame::{CLOSE, Frame, PING, PONG, TEXT};
use super::socket::Socket;

/// The connection has ended, with this code where there was one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended(pub Option<u16>);

/// Where delivery of a topic begins, as a join's reply says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Start {
    /// The last position of the log.
    pub head: Position,
    /// The position before the first delivery.
    pub start: Position,
    /// Members, this one included.
    pub members: u64,
}

/// One client.
#[derive(Debug)]
pub struct Peer {
    /// The connection, for what is said below JSON.
    pub socket: Socket,
    /// The client id: the welcome's, or the one that `connect` gave.
    pub client: String,
    /// The data of the welcome.
    pub welcome: Value,
    /// Whether pings are answered.
    pub answers_pings: bool,
    /// Envelopes that have come and were not asked for yet, as text.
    inbox: VecDeque<String>,
    ended: Option<Ended>,
    requests: u64,
}

impl Peer {
    /// Connects and reads the welcome.
    pub async fn connect(bus: &impl Reach) -> Self {
        Self::on(Socket::open(bus.address()).await).await
    }

    /// Connects where a server answers, and introduces itself; a connection that ends before that gives `None`.
    pub async fn try_introduce(bus: &impl Reach, args: &Value) -> Option<Self> {
        let mut peer = Self::bare(Socket::try_open(bus.address()).await?);
        let welcome = peer.next_text().await.ok()?;
        peer.greeted(&welcome);
        peer.send(&json!({"type": "command", "id": "hello", "command": "connect", "args": args})).await;
        let response: Value = serde_json::from_str(&peer.next_text().await.ok()?).expect("the server sends JSON");
        (response["status"] == "ok").then_some(peer)
    }

    /// Reads the welcome from a connection that has shaken hands.
    pub async fn on(socket: Socket) -> Self {
        let mut peer = Self::bare(socket);
        let welcome = peer.next_text().await.expect("a welcome");
        peer.greeted(&welcome);
        peer
    }

    fn bare(socket: Socket) -> Self {
        let (inbox, welcome) = (VecDeque::new(), Value::Null);
        Self { socket, client: String::new(), welcome, answers_pings: true, inbox, ended: None, requests: 0 }
    }

    fn greeted(&mut self, text: &str) {
        let welcome: Value = serde_json::from_str(text).expect("the server sends JSON");
        assert_eq!((&welcome["type"], &welcome["event"]), (&json!("event"), &json!("welcome")), "the server speaks first");
        self.welcome = welcome["data"].clone();
        self.client = self::text(&self.welcome["client"]);
    }

    /// Connects, and introduces itself with these arguments of `connect`.
    pub async fn introduce(bus: &impl Reach, args: Value) -> Self {
        let mut peer = Self::connect(bus).await;
        let result = peer.ok("connect", args).await;
        peer.client = text(&result["client"]);
        peer
    }

    /// Connects and joins one topic.
    pub async fn joined(bus: &impl Reach, topic: &str) -> Self {
        let mut peer = Self::connect(bus).await;
        peer.join(topic).await;
        peer
    }

    /// Sends an envelope.
    pub async fn send(&mut self, envelope: &Value) {
        self.send_text(&envelope.to_string()).await;
    }

    /// Sends a text message as it is.
    pub async fn send_text(&mut self, text: &str) {
        self.socket.send(&Frame::text(text)).await;
    }

    /// Sends a request under a new id and gives its response; other envelopes wait for their turn.
    pub async fn request(&mut self, mut envelope: Value) -> Value {
        if envelope["id"].is_null() {
            self.requests += 1;
            envelope["id"] = format!("q{}", self.requests).into();
        }
        self.send(&envelope).await;
        self.response(envelope["id"].as_str().expect("an id is text")).await
    }

    /// The response to a request that was sent before.
    pub async fn response(&mut self, request_id: &str) -> Value {
        let wanted = |text: &str| {
            let envelope: Value = serde_json::from_str(text).expect("the server sends JSON");
            (envelope["type"] == "response" && envelope["request_id"] == request_id).then_some(envelope)
        };
        within(PATIENCE, "a response", async {
            let mut seen = 0;
            loop {
                while seen < self.inbox.len() {
                    if let Some(response) = wanted(&self.inbox[seen]) {
                        self.inbox.remove(seen);
                        return response;
                    }
                    seen += 1;
                }
                if let Err(ended) = self.receive().await {
                    panic!("no response to {request_id}: {ended:?}");
                }
            }
        })
        .await
    }

    /// Sends a command that must succeed, and gives its result.
    pub async fn ok(&mut self, command: &str, args: Value) -> Value {
        let response = self.request(json!({"type": "command", "command": command, "args": args})).await;
        assert_eq!(response["status"], "ok", "{command}: {response}");
        response["result"].clone()
    }

    /// Sends a command that must be refused, and gives the code.
    pub async fn refused(&mut self, command: &str, args: Value) -> String {
        let response = self.request(json!({"type": "command", "command": command, "args": args})).await;
        code(&response)
    }

    /// Publishes to `room:channel`, and gives the result of the ack.
    pub async fn publish(&mut self, topic: &str, payload: Value) -> Value {
        let response = self.request(message(topic, payload)).await;
        assert_eq!(response["status"], "ok", "{response}");
        response["result"].clone()
    }

    /// Publishes to `room:channel`, and gives the position of the ack.
    pub async fn publish_at(&mut self, topic: &str, payload: Value) -> Position {
        position(&self.publish(topic, payload).await)
    }

    /// Joins `room:channel` from now on.
    pub async fn join(&mut self, topic: &str) -> Start {
        self.join_with(topic, json!({})).await
    }

    /// Joins `room:channel` with further arguments.
    pub async fn join_with(&mut self, topic: &str, args: Value) -> Start {
        let result = self.ok("join_channel", topic_args(topic, args)).await;
        let topic = &result["topics"][0];
        Start { head: position(&topic["head"]), start: position(&topic["start"]), members: topic["members"].as_u64().expect("a count") }
    }

    /// Waits until the bus has done all that this connection asked for.
    pub async fn settle(&mut self) {
        self.ok("ping", json!({})).await;
    }

    /// The next envelope that no request has taken, as text.
    ///
    /// # Errors
    /// [`Ended`] once the connection has.
    pub async fn next_text(&mut self) -> Result<String, Ended> {
        within(PATIENCE, "another envelope", async {
            loop {
                if let Some(text) = self.inbox.pop_front() {
                    return Ok(text);
                }
                self.receive().await?;
            }
        })
        .await
    }

    /// The next envelope that no request has taken; the connection must not end.
    pub async fn next(&mut self) -> Value {
        let text = self.next_text().await.unwrap_or_else(|ended| panic!("the connection ended: {ended:?}"));
        serde_json::from_str(&text).expect("the server sends JSON")
    }

    /// The next envelope, where one has come already.
    pub async fn already(&mut self) -> Option<Value> {
        let text = tokio::time::timeout(Duration::ZERO, self.next_text()).await.ok()?;
        Some(serde_json::from_str(&text.expect("a connection")).expect("the server sends JSON"))
    }

    /// The next envelope must be a message.
    pub async fn message(&mut self) -> Value {
        let envelope = self.next().await;
        assert_eq!(envelope["type"], "message", "{envelope}");
        envelope
    }

    /// The payloads of the next `count` envelopes, which must be messages.
    pub async fn payloads(&mut self, count: usize) -> Vec<Value> {
        let mut payloads = Vec::with_capacity(count);
        for _ in 0..count {
            payloads.push(self.message().await["payload"].clone());
        }
        payloads
    }

    /// The next envelope must be this event; gives its data.
    pub async fn event(&mut self, name: &str) -> Value {
        let envelope = self.next().await;
        assert_eq!((&envelope["type"], &envelope["event"]), (&json!("event"), &json!(name)), "{envelope}");
        envelope["data"].clone()
    }

    /// The next envelope must be an `error`; gives its code.
    pub async fn error(&mut self) -> String {
        let envelope = self.next().await;
        assert_eq!(envelope["type"], "error", "{envelope}");
        text(&envelope["error"]["code"])
    }

    /// Reads on until the connection ends, and says how. What was delivered before stays readable by [`Peer::next_text`].
    pub async fn end(&mut self) -> Ended {
        within(PATIENCE, "the end of the connection", async {
            loop {
                if let Err(ended) = self.receive().await {
                    return ended;
                }
            }
        })
        .await
    }

    /// Closes the connection politely.
    pub async fn close(mut self) {
        self.socket.send(&Frame::close(1000, "")).await;
        self.end().await;
    }

    /// Reads one frame and does what it asks for. Safe to cancel.
    async fn receive(&mut self) -> Result<(), Ended> {
        if let Some(ended) = self.ended {
            return Err(ended);
        }
        let Some(frame) = self.socket.read().await else { return Err(self.note_end(None)) };
        match frame.opcode {
            TEXT => {
                let text = String::from_utf8(frame.payload).expect("a text frame is UTF-8");
                for line in text.split('\n').filter(|line| !line.is_empty()) {
                    // Whatever any test makes the server say is held to the wire.
                    ServerEnvelope::decode(line).unwrap_or_else(|fault| panic!("{:?} in {line}", fault.refusal));
                    self.inbox.push_back(line.to_owned());
                }
            }
            PING if self.answers_pings => self.socket.send(&Frame::new(PONG, frame.payload)).await,
            PING | PONG => {}
            CLOSE => {
                let code = frame.close_code();
                self.socket.send(&Frame::new(CLOSE, frame.payload)).await;
                return Err(self.note_end(code));
            }
            other => panic!("a server does not send frames of opcode {other}"),
        }
        Ok(())
    }

    fn note_end(&mut self, code: Option<u16>) -> Ended {
        *self.ended.insert(Ended(code))
    }
}

/// A message to `room:channel` that asks for its ack.
#[must_use]
pub fn message(topic: &str, payload: Value) -> Value {
    let (room, channel) = topic.split_once(':').expect("room:channel");
    json!({"type": "message", "room": room, "channel": channel, "payload": payload, "ack": true})
}

/// Arguments about `room:channel`, with others.
#[must_use]
pub fn topic_args(topic: &str, others: Value) -> Value {
    let (room, channel) = topic.split_once(':').expect("room:channel");
    let mut args = json!({"room": room, "channel": channel});
    args.as_object_mut().expect("an object").extend(others.as_object().expect("an object").clone());
    args
}

/// The position in an ack, a delivery, a join's reply or a gap.
#[must_use]
pub fn position(value: &Value) -> Position {
    let epoch = text(&value["epoch"]).parse().expect("an epoch");
    Position { epoch, seq: value["seq"].as_u64().unwrap_or_else(|| panic!("a seq in {value}")) }
}

/// The code of a response that must be a refusal.
#[must_use]
pub fn code(response: &Value) -> String {
    assert_eq!(response["status"], "error", "{response}");
    text(&response["error"]["code"])
}

/// The text of a JSON string.
#[must_use]
pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("text, not {value}")).to_owned()
}
