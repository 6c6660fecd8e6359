//! The bounded queue between the driver and one subscription.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use arqonbus_protocol::{ClientId, Gap, GapReason, Presence, Topic};
use tokio::sync::mpsc;

use crate::Message;
use crate::core::{EndReason, JobRef};

/// What a subscription gives.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Item {
    /// A message.
    Message(Message),
    /// Messages are missing; told before the first one after the hole.
    Gap {
        /// Of which topic.
        topic: Topic,
        /// What is missing, and why.
        gap: Gap,
    },
    /// Somebody joined or left; only where presence was asked for.
    Presence {
        /// Which topic.
        topic: Topic,
        /// True for joined.
        joined: bool,
        /// Who.
        presence: Presence,
    },
    /// One topic of a pattern was deleted.
    Deleted {
        /// Which topic.
        topic: Topic,
        /// Who deleted it.
        by: ClientId,
    },
    /// So many messages of an inbox gave way; told before the first one after them.
    Missed(u64),
    /// A job of a work group; [`Jobs`](super::Jobs) makes more of it.
    Job {
        /// What.
        message: Message,
        /// Names it, to settle it.
        job: JobRef,
    },
    /// So many jobs of a work group went to others.
    JobsLost(u64),
    /// The last item: why nothing more comes.
    Ended(EndReason),
}

/// What happens when the application reads more slowly than messages come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Overflow {
    /// Nothing is lost: the socket is not read, then the subscription pauses and goes on from its position.
    #[default]
    Wait,
    /// The oldest messages give way, and a gap with reason `conflated` stands in their place.
    Conflate,
}

/// Facts of one message beside its payload, for the bound in bytes.
const MESSAGE_OVERHEAD_BYTES: usize = 640;
/// A waiting queue may grow to this many times its bound while somebody waits for an answer that is behind the messages.
const HARD: usize = 4;

#[derive(Debug)]
pub(crate) struct Queue {
    state: Mutex<State>,
    capacity: usize,
    bytes_max: usize,
    overflow: Overflow,
    /// Wakes the driver: there is room again, or the reader is gone.
    attention: mpsc::Sender<()>,
}

#[derive(Debug, Default)]
struct State {
    items: VecDeque<Item>,
    bytes: usize,
    /// Gaps in place of items that gave way; they come before all items.
    conflated: VecDeque<(Topic, Gap)>,
    /// Messages without a topic that gave way; told before everything else.
    missed: u64,
    reader: Option<Waker>,
    reader_gone: bool,
    ended: bool,
    /// Whether the driver waits for room.
    wanted: bool,
}

impl Queue {
    pub(crate) fn new(capacity: usize, bytes_max: usize, overflow: Overflow, attention: mpsc::Sender<()>) -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), capacity: capacity.max(1), bytes_max, overflow, attention })
    }

    /// Puts an item at the end. True where the driver should stop reading until [`Self::has_drained`].
    pub(crate) fn push(&self, item: Item) -> bool {
        let mut state = self.lock();
        if state.reader_gone {
            return false;
        }
        state.ended |= matches!(item, Item::Ended(_));
        if matches!(item, Item::JobsLost(_)) {
            state.forget_jobs();
        }
        state.bytes += item.bytes();
        state.items.push_back(item);
        while self.overflow == Overflow::Conflate && self.is_over(&state, 1) && state.items.len() > 1 {
            state.give_way();
        }
        let full = self.overflow == Overflow::Wait && self.is_over(&state, 1);
        let reader = state.reader.take();
        drop(state);
        if let Some(reader) = reader {
            reader.wake();
        }
        full
    }

    /// Whether even the reserve is used up.
    pub(crate) fn is_overfull(&self) -> bool {
        let state = self.lock();
        !state.reader_gone && self.is_over(&state, HARD)
    }

    /// Whether half of it is free, or nobody reads it. Where not, the driver is called once it is.
    pub(crate) fn has_drained(&self) -> bool {
        let mut state = self.lock();
        let drained = state.reader_gone || self.is_half(&state);
        state.wanted |= !drained;
        drained
    }

    pub(crate) fn is_reader_gone(&self) -> bool {
        self.lock().reader_gone
    }

    pub(crate) fn poll_pop(&self, cx: &mut Context<'_>) -> Poll<Option<Item>> {
        let mut state = self.lock();
        if state.missed > 0 {
            return Poll::Ready(Some(Item::Missed(std::mem::take(&mut state.missed))));
        }
        if let Some((topic, gap)) = state.conflated.pop_front() {
            return Poll::Ready(Some(Item::Gap { topic, gap }));
        }
        let Some(item) = state.items.pop_front() else {
            if state.ended {
                return Poll::Ready(None);
            }
            state.reader = Some(cx.waker().clone());
            return Poll::Pending;
        };
        state.bytes -= item.bytes();
        if state.wanted && self.is_half(&state) {
            state.wanted = false;
            self.call_driver();
        }
        Poll::Ready(Some(item))
    }

    pub(crate) fn leave(&self) {
        let mut state = self.lock();
        state.reader_gone = true;
        state.items.clear();
        state.bytes = 0;
        self.call_driver();
    }

    fn is_half(&self, state: &State) -> bool {
        state.items.len() <= self.capacity / 2 && state.bytes <= self.bytes_max / 2
    }

    fn is_over(&self, state: &State, times: usize) -> bool {
        state.items.len() > self.capacity * times || state.bytes > self.bytes_max * times
    }

    /// One pending call is enough: the driver looks at all queues.
    fn call_driver(&self) {
        let _full_means_called = self.attention.try_send(());
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it holds this lock")
    }
}

impl State {
    /// Jobs that nobody has read are somebody else's now.
    fn forget_jobs(&mut self) {
        self.items.retain(|item| !matches!(item, Item::Job { .. }));
        self.bytes = self.items.iter().map(Item::bytes).sum();
    }

    /// Drops the oldest message, or word of missing ones, and remembers what is missing.
    fn give_way(&mut self) {
        let oldest = self.items.iter().position(|item| matches!(item, Item::Message(_) | Item::Gap { .. } | Item::Missed(_))).unwrap_or(0);
        let Some(item) = self.items.remove(oldest) else { return };
        self.bytes -= item.bytes();
        let (topic, from, to) = match &item {
            Item::Message(message) => match (message.topic(), message.position()) {
                (Some(topic), Some(position)) => {
                    (*topic, Some(arqonbus_protocol::Position { seq: position.seq.saturating_sub(1), ..position }), position)
                }
                _ => return self.missed += 1,
            },
            Item::Missed(count) => return self.missed += count,
            Item::Gap { topic, gap } => (*topic, gap.from, gap.to),
            // Presence is eventual: `members` has the truth.
            // Jobs are never conflated.
            Item::Presence { .. } | Item::Deleted { .. } | Item::Job { .. } | Item::JobsLost(_) | Item::Ended(_) => return,
        };
        match self.conflated.iter_mut().find(|(known, _)| *known == topic) {
            Some((_, gap)) => gap.to = to,
            None => self.conflated.push_back((topic, Gap { reason: GapReason::Conflated, from, to, refetch_after_ms: 0 })),
        }
    }
}

impl Item {
    fn bytes(&self) -> usize {
        match self {
            Self::Message(message) | Self::Job { message, .. } => {
                MESSAGE_OVERHEAD_BYTES + message.payload_json().len() + message.headers_json().map_or(0, str::len)
            }
            Self::Gap { .. } | Self::Presence { .. } | Self::Deleted { .. } | Self::Missed(_) | Self::JobsLost(_) | Self::Ended(_) => {
                MESSAGE_OVERHEAD_BYTES
            }
        }
    }
}
