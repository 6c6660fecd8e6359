//! What is said to each kind of server: how one joins, and how one publishes.

use crate::skim::Unit;

/// Payload of every message.
pub(crate) const PAYLOAD_BYTES: usize = 256;
/// Digits at the end of the id of a message of ours.
const ID_DIGITS: usize = 26;

/// The language of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// ArqonBus envelopes.
    Arqon,
    /// The NATS client protocol.
    Nats,
    /// The bare loop's: `S<topic>` subscribes, `P<topic>` makes all that follows publishes.
    Bare,
}

/// What a connection says first, and what to await before it counts as ready.
pub(crate) struct Greeting {
    pub(crate) frames: Vec<Vec<u8>>,
    pub(crate) answers: (Unit, u64),
    /// What to count from then on.
    pub(crate) then: Unit,
}

impl Dialect {
    /// Joins `topic`.
    pub(crate) fn subscriber(self, topic: usize) -> Greeting {
        match self {
            Self::Arqon => {
                let args = format!(r#"{{"room":"bench","channel":"t{topic}"}}"#);
                let join = format!(r#"{{"type":"command","id":"join","command":"join_channel","args":{args}}}"#);
                Greeting { frames: vec![join.into_bytes()], answers: (Unit::Frame, 2), then: Unit::Frame }
            }
            Self::Nats => {
                let length = format!("MSG bench.t{topic} 1 {PAYLOAD_BYTES}\r\n").len() + PAYLOAD_BYTES + 2;
                let words = format!("CONNECT {{\"verbose\":false,\"pedantic\":false}}\r\nSUB bench.t{topic} 1\r\nPING\r\n");
                Greeting { frames: vec![words.into_bytes()], answers: (Unit::NatsPong, 1), then: Unit::NatsMessage(length) }
            }
            Self::Bare => Greeting { frames: vec![format!("S{topic}").into_bytes()], answers: (Unit::Frame, 1), then: Unit::Frame },
        }
    }

    /// Gets ready to publish to `topic`, with an answer to every publish.
    pub(crate) fn publisher(self, topic: usize) -> Greeting {
        match self {
            Self::Arqon => Greeting { frames: Vec::new(), answers: (Unit::Frame, 1), then: Unit::Frame },
            Self::Nats => {
                let words = b"CONNECT {\"verbose\":true,\"pedantic\":false}\r\nPING\r\n".to_vec();
                Greeting { frames: vec![words], answers: (Unit::NatsPong, 1), then: Unit::NatsOk }
            }
            Self::Bare => Greeting { frames: vec![format!("P{topic}").into_bytes()], answers: (Unit::Frame, 1), then: Unit::Frame },
        }
    }

    pub(crate) fn is_text(self) -> bool {
        self != Self::Nats
    }
}

/// Makes the publishes of one publisher.
#[derive(Debug)]
pub(crate) struct Publishes {
    frame: Vec<u8>,
    /// Where the id's digits begin, where there are any.
    id_at: Option<usize>,
    number: u64,
}

impl Publishes {
    /// `publisher` keeps the ids of several publishers apart.
    pub(crate) fn new(dialect: Dialect, topic: usize, publisher: usize) -> Self {
        let (body, id_at) = match dialect {
            Dialect::Arqon => {
                let text = "x".repeat(PAYLOAD_BYTES - 2);
                let (before, id) = (r#"{"type":"message","id":"arq_"#, "0".repeat(ID_DIGITS));
                let after = format!(r#"","room":"bench","channel":"t{topic}","payload":"{text}","ack":true}}"#);
                (format!("{before}{id}{after}"), Some(before.len()))
            }
            Dialect::Nats => (format!("PUB bench.t{topic} {PAYLOAD_BYTES}\r\n{}\r\n", "x".repeat(PAYLOAD_BYTES)), None),
            Dialect::Bare => ("x".repeat(PAYLOAD_BYTES), None),
        };
        let frame = masked(body.as_bytes(), dialect.is_text());
        let id_at = id_at.map(|at| frame.len() - body.len() + at);
        Self { frame, id_at, number: publisher as u64 * 1_000_000_000_000 }
    }

    /// Appends the next publish to `out`.
    pub(crate) fn put_next(&mut self, out: &mut Vec<u8>) {
        if let Some(at) = self.id_at {
            self.number += 1;
            let mut rest = self.number;
            for digit in self.frame[at..at + ID_DIGITS].iter_mut().rev() {
                *digit = b'0' + (rest % 10) as u8;
                rest /= 10;
                if rest == 0 {
                    break;
                }
            }
        }
        out.extend_from_slice(&self.frame);
    }
}

/// A client's frame. Its mask is zero: the server has to take it off all the same, and the generator saves its own core.
pub(crate) fn masked(payload: &[u8], text: bool) -> Vec<u8> {
    let mut frame = vec![if text { 0x81 } else { 0x82 }];
    match payload.len() {
        short @ 0..=125 => frame.push(0x80 | short as u8),
        long => {
            frame.push(0x80 | 126);
            frame.extend(u16::try_from(long).expect("our frames are short").to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend_from_slice(payload);
    frame
}
