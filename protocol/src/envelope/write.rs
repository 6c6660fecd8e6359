//! Writes one envelope by splicing: every value is either ASCII that needs no escape, or raw JSON.

use serde::Serialize;

use super::{JobHead, Target};
use crate::Position;
use crate::json::Write;

/// An object being written, `type` first.
pub(super) struct ObjectWriter<'o> {
    out: &'o mut Vec<u8>,
}

impl<'o> ObjectWriter<'o> {
    pub(super) fn open(out: &'o mut Vec<u8>, kind: &str) -> Self {
        out.extend_from_slice(b"{\"type\":\"");
        out.extend_from_slice(kind.as_bytes());
        out.push(b'"');
        Self { out }
    }

    /// Goes on with an object that was begun elsewhere.
    pub(super) fn within(out: &'o mut Vec<u8>) -> Self {
        Self { out }
    }

    /// `epoch` and `seq`; gives the offset where they stand.
    pub(super) fn position(&mut self, position: Option<&Position>) -> usize {
        let offset = self.out.len();
        if let Some(position) = position {
            self.text("epoch", position.epoch.as_bytes());
            self.number("seq", position.seq);
        }
        offset
    }

    /// `group` and `delivery`.
    pub(super) fn job(&mut self, job: &JobHead) {
        self.text("group", job.group.as_bytes());
        self.number("delivery", u64::from(job.delivery));
    }

    fn key(&mut self, key: &str) {
        self.out.extend_from_slice(b",\"");
        self.out.extend_from_slice(key.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    /// A text of a closed alphabet: ids, names, timestamps.
    pub(super) fn text(&mut self, key: &str, text: &[u8]) {
        self.key(key);
        self.out.push(b'"');
        self.out.extend_from_slice(text);
        self.out.push(b'"');
    }

    pub(super) fn optional(&mut self, key: &str, text: Option<&[u8]>) {
        if let Some(text) = text {
            self.text(key, text);
        }
    }

    pub(super) fn raw(&mut self, key: &str, json: &[u8]) {
        self.key(key);
        self.out.extend_from_slice(json);
    }

    pub(super) fn written(&mut self, key: &str, value: &dyn Write) {
        self.key(key);
        value.write(self.out);
    }

    /// Whatever serializes, without a copy of it between.
    pub(super) fn json(&mut self, key: &str, value: &impl Serialize) {
        self.key(key);
        serde_json::to_writer(&mut *self.out, value).expect("wire types serialize");
    }

    pub(super) fn number(&mut self, key: &str, number: u64) {
        self.key(key);
        crate::json::number(number, self.out);
    }

    /// `room`, `channel`, `to`.
    pub(super) fn target(&mut self, target: &Target) {
        match target {
            Target::Topic(topic) => {
                self.text("room", topic.room.as_bytes());
                self.text("channel", topic.channel.as_bytes());
            }
            Target::Room(room) => self.text("room", room.as_bytes()),
            Target::Client(client) => self.text("to", client.as_bytes()),
            Target::User(_) | Target::Everyone => self.text("to", target.to_string().as_bytes()),
        }
    }

    /// An object with at least one member, whose comma makes way for the brace.
    pub(super) fn object(&mut self, key: &str, write: impl FnOnce(&mut ObjectWriter<'_>)) {
        self.key(key);
        let brace = self.out.len();
        write(&mut ObjectWriter::within(self.out));
        self.out[brace] = b'{';
        self.out.push(b'}');
    }

    pub(super) fn close(self) {
        self.out.push(b'}');
    }
}
