//! One client's conversation: envelopes in, questions to homes and answers out. It does no I/O.

mod identity;
mod message;
pub(crate) mod permission;
mod resume_key;

use std::sync::Arc;

use arqonbus_protocol::{
    ClientEnvelope, CloseCode, ErrorCode, Malformed, MessageId, Pattern, Refusal, Timestamp, encode_error, encode_refused, limits,
};

pub(crate) use identity::{About, Identity};
pub(crate) use resume_key::ResumeKeys;

use crate::commands::{self, Aggregate};
use crate::routing::{Asked, ConnId, Op, ShardId};
use crate::shared::Shared;

/// What a session wants done, in order.
#[derive(Debug)]
pub(crate) enum Step {
    /// A question to one home.
    Ask(ShardId, Op),
    /// A question to every home, whose parts make one answer.
    AskAll(Box<(Asked, Aggregate)>),
    /// An envelope to the client.
    Reply(Vec<u8>),
    /// The end of the connection.
    Close(CloseCode),
}

/// How the client is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Channel {
    /// A socket: has an identity, joins, receives.
    WebSocket,
    /// One HTTP request: asks and is answered.
    Http,
}

/// The state of one conversation.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) who: Arc<Identity>,
    pub(crate) conn: ConnId,
    pub(crate) channel: Channel,
    /// Frames may hold several envelopes.
    pub(crate) batch: bool,
    /// Something other than `connect` was done.
    pub(crate) acted: bool,
    /// Malformed envelopes in a row.
    malformed: u32,
    /// Joined patterns.
    pub(crate) patterns: Vec<Pattern>,
}

/// The envelopes of one text message: with batching those that stand on its lines, else the whole. At least one: what says nothing is refused.
pub(crate) fn envelopes(text: &str, batch: bool) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    let cut = std::iter::from_fn(move || match rest.filter(|_| batch).and_then(|text| text.split_once('\n')) {
        Some((line, others)) => {
            rest = Some(others);
            Some(line)
        }
        None => rest.take(),
    });
    let mut lines = cut.filter(move |line| !batch || !line.trim_ascii().is_empty());
    let first = lines.next().unwrap_or_default();
    std::iter::once(first).chain(lines)
}

/// What a session needs to know of the world while it handles one envelope.
pub(crate) struct Context<'a> {
    pub(crate) shared: &'a Shared,
    pub(crate) timestamp: Timestamp,
    /// When the input was read, in microseconds of the clock.
    pub(crate) received_us: u64,
    pub(crate) steps: &'a mut Vec<Step>,
}

impl Session {
    pub(crate) fn new(who: Arc<Identity>, conn: ConnId, channel: Channel) -> Self {
        Self { who, conn, channel, batch: false, acted: false, malformed: 0, patterns: Vec::new() }
    }

    /// Takes one envelope.
    pub(crate) fn receive(&mut self, text: &str, cx: &mut Context<'_>) {
        let bytes_max = cx.shared.config.limits.envelope_bytes;
        if text.len() > bytes_max {
            let refusal = Refusal::new(ErrorCode::TooLarge, format!("an envelope has at most {bytes_max} bytes"));
            return self.refuse_untied(None, &refusal, cx);
        }
        match ClientEnvelope::decode(text) {
            Ok(envelope) => {
                self.malformed = 0;
                match envelope {
                    ClientEnvelope::Message(publish) => self.message(&publish, cx),
                    ClientEnvelope::Command(request) => commands::ask(self, request, cx),
                }
            }
            Err(malformed) => self.refuse_malformed(&malformed, cx),
        }
    }

    fn refuse_malformed(&mut self, malformed: &Malformed, cx: &mut Context<'_>) {
        self.refuse_untied(malformed.id, &malformed.refusal, cx);
        if !malformed.refusal.code.is_malformed() || is_of_application(&malformed.refusal) {
            return;
        }
        self.malformed += 1;
        if self.malformed >= limits::MALFORMED_MAX && self.channel == Channel::WebSocket {
            cx.steps.push(Step::Close(CloseCode::BadRequest));
        }
    }

    /// Refuses what could not be read; as a response where at least an id could.
    fn refuse_untied(&self, id: Option<MessageId>, refusal: &Refusal, cx: &mut Context<'_>) {
        cx.shared.tell_unreadable(&self.who, id, refusal.code);
        cx.steps.push(Step::Reply(match id {
            Some(id) => encode_refused(&id, refusal),
            None => encode_error(refusal, &cx.timestamp),
        }));
    }

    /// Who asks, under the client's id for it or one made here.
    pub(crate) fn asked(&self, id: Option<MessageId>, command: Option<&'static arqonbus_protocol::CommandSpec>, cx: &Context<'_>) -> Asked {
        Asked { conn: self.conn, who: Arc::clone(&self.who), request_id: id.unwrap_or_else(|| cx.shared.message_id(cx.timestamp)), command }
    }
}

/// Whether what is wrong is what an application said, by a client that speaks well: its other messages must not suffer for it.
fn is_of_application(refusal: &Refusal) -> bool {
    refusal.at.as_deref().is_some_and(|at| ["/payload", "/headers"].iter().any(|field| at.starts_with(field)))
}

impl Context<'_> {
    /// Answers that a request is not carried out.
    pub(crate) fn refuse(&mut self, asked: &Asked, topic: Option<arqonbus_protocol::Topic>, refusal: &Refusal) {
        self.shared.tell_refused(asked, topic, refusal.code);
        self.steps.push(Step::Reply(encode_refused(&asked.request_id, refusal)));
    }

    /// Answers a request at once.
    pub(crate) fn ok(&mut self, asked: &Asked, result: &impl serde::Serialize) {
        self.steps.push(Step::Reply(arqonbus_protocol::encode_ok(&asked.request_id, result)));
    }

    /// While the server shuts down, nothing new is begun.
    pub(crate) fn refuse_while_draining(&self) -> Result<(), Refusal> {
        match self.shared.draining_ms() {
            None => Ok(()),
            Some(ms) => Err(Refusal::new(ErrorCode::Draining, "this server is shutting down; reconnect").after_ms(ms)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::envelopes;

    #[test]
    fn a_text_is_one_envelope_or_with_batching_one_on_each_line() {
        for (text, batch, expected) in [
            ("a\nb", false, &["a\nb"][..]),
            ("", false, &[""]),
            ("a", true, &["a"]),
            ("a\nb\r\n\n c \n", true, &["a", "b\r", " c "]),
            ("\n \n", true, &[""]),
        ] {
            assert!(envelopes(text, batch).eq(expected.iter().copied()), "{text:?}");
        }
    }
}
