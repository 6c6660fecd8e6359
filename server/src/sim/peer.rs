//! A bare client: says what it is told to, and hears envelopes as JSON.

use serde_json::{Value, json};

use super::{Frame, LinkId, Reader, SimBus, pong, text};

/// A bare client on a simulated socket. It answers pings, and nothing else by itself.
#[derive(Debug)]
pub struct Peer {
    /// Its socket.
    pub link: LinkId,
    /// Its identity, as the welcome or `connect` told it.
    pub client: String,
    /// The code that it was closed with.
    pub closed: Option<u16>,
    reader: Reader,
    said: u64,
}

impl Peer {
    /// Connects on one shard, and takes the welcome.
    ///
    /// # Panics
    /// Where the bus does not greet.
    pub fn open(bus: &mut SimBus, shard: usize) -> Self {
        let link = bus.open_on(shard);
        let mut peer = Self { link, client: String::new(), closed: None, reader: Reader::default(), said: 0 };
        let welcome = peer.hear(bus).remove(0);
        assert_eq!(welcome["event"], "welcome");
        peer.client = welcome["data"]["client"].as_str().expect("a welcome names the client").to_owned();
        peer
    }

    /// Sends one text frame.
    pub fn say_text(&mut self, bus: &mut SimBus, envelope: &str) {
        bus.send(self.link, &text(envelope));
    }

    /// Sends one envelope in a frame of its own.
    pub fn say(&mut self, bus: &mut SimBus, envelope: &Value) {
        self.say_text(bus, &envelope.to_string());
    }

    /// Sends a command; gives the id that its answer will have.
    pub fn command(&mut self, bus: &mut SimBus, command: &str, args: &Value) -> String {
        self.said += 1;
        let id = format!("q{}", self.said);
        self.say(bus, &json!({ "type": "command", "id": id, "command": command, "args": args }));
        id
    }

    /// Sends a command, lets the bus settle, and gives the result, or the error's code as a string. What else came is dropped.
    ///
    /// # Panics
    /// Where there is no answer.
    pub fn ask(&mut self, bus: &mut SimBus, command: &str, args: &Value) -> Value {
        let id = self.command(bus, command, args);
        let answer = self.hear(bus).into_iter().find(|heard| heard["request_id"] == id.as_str());
        let answer = answer.unwrap_or_else(|| panic!("{command} is not answered"));
        if answer["status"] == "ok" { answer["result"].clone() } else { answer["error"]["code"].clone() }
    }

    /// Publishes to `room:channel` with an id and an ack.
    pub fn publish(&mut self, bus: &mut SimBus, topic: &str, id: &str) {
        let (room, channel) = topic.split_once(':').expect("a topic is room:channel");
        self.say(bus, &json!({ "type": "message", "id": id, "room": room, "channel": channel, "payload": id, "ack": true }));
    }

    /// Lets the bus settle, and gives what came since the last time.
    pub fn hear(&mut self, bus: &mut SimBus) -> Vec<Value> {
        bus.settle();
        let heard = self.hear_now(bus);
        bus.settle();
        heard
    }

    /// Gives what the bus has written until now.
    ///
    /// # Panics
    /// Where that is no JSON.
    pub fn hear_now(&mut self, bus: &mut SimBus) -> Vec<Value> {
        let mut heard = Vec::new();
        let bytes = bus.take(self.link);
        self.reader.feed(&bytes);
        while let Some(frame) = self.reader.next_frame() {
            match frame {
                Frame::Text(text) => heard.extend(text.lines().map(|line| serde_json::from_str::<Value>(line).expect("an envelope is JSON"))),
                Frame::Ping(payload) => bus.send(self.link, &pong(&payload)),
                Frame::Pong => {}
                Frame::Close(code) => self.closed = Some(code),
            }
        }
        heard
    }
}
