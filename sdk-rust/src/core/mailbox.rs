//! Messages to no topic, until the application asks for them.

use std::collections::VecDeque;

use super::{Core, Event};
use crate::Message;

/// Facts of one message beside its payload, for the bound in bytes.
const MESSAGE_OVERHEAD_BYTES: usize = 640;

/// Keeps what comes while there is no inbox, bounded; what had to give way is counted.
#[derive(Debug, Default)]
pub(super) struct Mailbox {
    open: bool,
    kept: VecDeque<Message>,
    bytes: usize,
    missed: u64,
}

impl Core {
    /// Tells private messages and broadcasts from now on, as [`Event::Inbox`]. What came before is told first, and before that, as
    /// [`Event::Missed`], how many had to give way.
    pub fn open_inbox(&mut self) {
        let mailbox = &mut self.mailbox;
        mailbox.open = true;
        mailbox.bytes = 0;
        let missed = std::mem::take(&mut mailbox.missed);
        self.events.extend((missed > 0).then_some(Event::Missed { count: missed }));
        self.events.extend(std::mem::take(&mut mailbox.kept).into_iter().map(Event::Inbox));
    }

    /// Keeps them from now on, up to [`Config::inbox_max`](super::Config::inbox_max), for whoever opens the inbox next.
    pub fn close_inbox(&mut self) {
        self.mailbox.open = false;
    }

    /// Takes back what was told and finds no reader any more: closes the inbox, and keeps the message.
    pub fn take_back(&mut self, message: Message) {
        self.close_inbox();
        self.on_inbox_message(message);
    }

    /// Takes back an [`Event::Missed`] that finds no reader any more.
    pub fn take_back_missed(&mut self, count: u64) {
        self.close_inbox();
        self.mailbox.missed += count;
    }

    /// Takes a message that is for no subscription.
    pub(super) fn on_inbox_message(&mut self, message: Message) {
        let (mailbox, config) = (&mut self.mailbox, &self.config);
        if mailbox.open {
            return self.events.push_back(Event::Inbox(message));
        }
        mailbox.bytes += bytes(&message);
        mailbox.kept.push_back(message);
        while mailbox.kept.len() > config.inbox_max || mailbox.bytes > config.inbox_bytes_max {
            let Some(oldest) = mailbox.kept.pop_front() else { break };
            mailbox.bytes -= bytes(&oldest);
            mailbox.missed += 1;
        }
    }
}

fn bytes(message: &Message) -> usize {
    MESSAGE_OVERHEAD_BYTES + message.payload_json().len() + message.headers_json().map_or(0, str::len)
}
