//! One log as this node follows it: what Redis answers and what other nodes tell, put into the one order of the log.

use std::collections::btree_map::Entry as Slot;
use std::collections::{BTreeMap, VecDeque};

use arqonbus_protocol::{Epoch, Position};

use super::notice::Notice;
use super::script::{Ends, Item};
use crate::clock::Moment;
use crate::storage::{Appended, Entry, LogSettings, ReadRange, Ticket};

/// Messages of other nodes that may be held while one before them is missing; more are read from Redis.
const AHEAD_MAX: usize = 4_096;
/// Notices that are held until it is known after which seq they count.
const EARLY_MAX: usize = 64;
/// Bytes that an entry counts besides its envelopes and the lines before them; with a line's bytes.
const ENTRY_BYTES: u64 = 64 + 40;
/// Epochs that are remembered after they have ended.
const PAST_MAX: usize = 8;

/// Where a log's messages go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Nowhere yet: its lane waits for it to be opened.
    Opening(Ticket),
    /// To Redis.
    Redis,
    /// To this node's memory, since Redis is away.
    Memory,
    /// To this node's memory; Redis is back, and is being looked at.
    Healing,
    /// To Redis, behind those that it has missed.
    Restoring,
}

/// Whether other nodes' messages are told here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Feed {
    /// They are not: whatever is told jumps over them.
    Away,
    /// They will be, once Redis has confirmed that their notices come and has said where the log is by then.
    Coming(Ticket),
    /// They are, each in its turn. Where a notice does not come, what is missing shows, and is read.
    Here,
}

/// A message that has its place in the log.
#[derive(Debug)]
pub(super) enum Placed {
    /// Of this node: somebody waits for the answer.
    Own(Ticket, Item),
    /// Of another node, or put back by this one.
    Fed(Entry),
}

/// Something that can be told now.
#[derive(Debug)]
pub(super) enum Next {
    Message(Position, Placed),
    /// An answer that waited for what is before it.
    Read(HeldRead),
}

/// A page that waits until everything up to its head has been told.
#[derive(Debug)]
pub(super) struct HeldRead {
    pub(super) ticket: Ticket,
    pub(super) range: ReadRange,
    pub(super) found: super::script::Found,
}

/// One log.
#[derive(Debug)]
pub(super) struct Log {
    pub(super) settings: LogSettings,
    pub(super) place: Place,
    pub(super) feed: Feed,
    /// Whether Redis has confirmed that notices come.
    pub(super) follows: bool,
    pub(super) epoch: u64,
    /// The last seq that was told.
    pub(super) told: u64,
    /// The last seq that is known to be in the log.
    pub(super) known: u64,
    /// As they were when Redis was last asked.
    pub(super) ends: Ends,
    ahead: BTreeMap<u64, Placed>,
    held: VecDeque<HeldRead>,
    early: Vec<Notice>,
    /// Since when something is missing.
    pub(super) hole_since: Option<Moment>,
    /// Whether Redis has been asked for what is missing.
    pub(super) filling: bool,
    /// Messages that are put back and not yet answered for.
    pub(super) healing: usize,
    /// The last seq of those that were.
    pub(super) healed: u64,
    /// Epochs that it has left: what still comes of them is late.
    past: VecDeque<u64>,
}

impl Log {
    pub(super) fn new(settings: LogSettings, place: Place) -> Self {
        let ends = Ends { epoch: 0, start: 0, head: 0, first: 0, bytes: 0 };
        Self {
            settings,
            place,
            feed: Feed::Away,
            follows: false,
            epoch: 0,
            told: 0,
            known: 0,
            ends,
            ahead: BTreeMap::new(),
            held: VecDeque::new(),
            early: Vec::new(),
            hole_since: None,
            filling: false,
            healing: 0,
            healed: 0,
            past: VecDeque::new(),
        }
    }

    pub(super) fn position(&self, seq: u64) -> Position {
        Position { epoch: Epoch::from_number(self.epoch), seq }
    }

    /// Whether an answer of `epoch` comes too late: the log has left that epoch.
    pub(super) fn is_past(&self, epoch: u64) -> bool {
        epoch != self.epoch && self.past.contains(&epoch)
    }

    /// Goes on from these ends: what is before the head is not told.
    pub(super) fn begin_at(&mut self, ends: Ends) {
        if self.epoch != ends.epoch {
            self.past.push_front(std::mem::replace(&mut self.epoch, ends.epoch));
            self.past.truncate(PAST_MAX);
        }
        self.ends = ends;
        (self.told, self.known) = (ends.head, ends.head);
        self.ahead.retain(|_, placed| matches!(placed, Placed::Own(..)));
        self.hole_since = None;
    }

    /// Takes what Redis says about the log's ends. Gives whether that alone moves the log on: nobody is told what is before them.
    pub(super) fn look(&mut self, ends: Ends) -> bool {
        debug_assert_eq!(ends.epoch, self.epoch, "another epoch is begun before");
        self.ends = ends;
        self.known = self.known.max(ends.head);
        let passes = self.feed != Feed::Here && ends.head > self.told;
        if passes {
            self.told = ends.head;
        }
        passes
    }

    /// What is answered for a message that has its place: whether it is held is decided by the same count as in the scripts.
    pub(super) fn placed(&self, position: Position, entry: Entry) -> Appended {
        let LogSettings { messages_max, age_ms_max, bytes_max, .. } = self.settings;
        let bytes = entry.text.len() as u64 + ENTRY_BYTES;
        let is_held = messages_max > 0 && age_ms_max > 0 && bytes <= bytes_max;
        let body = entry.place(&position);
        if is_held { Appended::Stored { position, body } } else { Appended::Unheld { position, body } }
    }

    /// A message is at `seq` of the present epoch.
    pub(super) fn place(&mut self, seq: u64, placed: Placed) {
        self.known = self.known.max(seq);
        let is_own = matches!(placed, Placed::Own(..));
        if seq <= self.told && !is_own {
            return;
        }
        let has_room = is_own || self.ahead.len() < AHEAD_MAX || seq == self.told + 1;
        match self.ahead.entry(seq) {
            Slot::Vacant(slot) if has_room => {
                slot.insert(placed);
            }
            // Somebody waits for this one.
            Slot::Occupied(mut held) if is_own => drop(held.insert(placed)),
            Slot::Vacant(_) | Slot::Occupied(_) => {}
        }
    }

    /// Takes what another node has told. Gives false where the epoch is not the present one: then somebody has to look.
    pub(super) fn notice(&mut self, epoch: u64, head: u64, entries: Vec<Entry>) -> bool {
        if epoch != self.epoch {
            return false;
        }
        self.known = self.known.max(head);
        let first = head + 1 - entries.len() as u64;
        for (seq, entry) in (first..).zip(entries) {
            self.place(seq, Placed::Fed(entry));
        }
        true
    }

    /// Keeps a notice until the log's feed counts.
    pub(super) fn keep_early(&mut self, notice: Notice) {
        if self.early.len() < EARLY_MAX {
            self.early.push(notice);
        }
    }

    pub(super) fn take_early(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.early)
    }

    /// Lets a page wait until everything up to its head has been told.
    pub(super) fn hold(&mut self, read: HeldRead) {
        self.held.push_back(read);
    }

    pub(super) fn take_held(&mut self) -> VecDeque<HeldRead> {
        std::mem::take(&mut self.held)
    }

    /// The next thing that can be told, in the order of the log where that is kept.
    pub(super) fn next(&mut self, keeps_order: bool) -> Option<Next> {
        if self.held.front().is_some_and(|read| read.found.ends.head <= self.told) {
            return self.held.pop_front().map(Next::Read);
        }
        let entry = self.ahead.first_entry()?;
        if keeps_order && self.feed == Feed::Here && *entry.key() > self.told + 1 {
            return None;
        }
        let (seq, placed) = entry.remove_entry();
        self.told = self.told.max(seq);
        Some(Next::Message(self.position(seq), placed))
    }

    /// Everything up to `seq` does not come.
    pub(super) fn skip_to(&mut self, seq: u64) {
        self.told = self.told.max(seq);
        let told = self.told;
        self.ahead.retain(|seq, placed| *seq > told || matches!(placed, Placed::Own(..)));
    }

    /// The first seq that is there and not told, where another is missing before it.
    pub(super) fn first_ahead(&self) -> Option<u64> {
        self.ahead.keys().next().copied()
    }

    /// Whether something is missing that is in the log and is to be told.
    pub(super) fn has_hole(&self) -> bool {
        self.feed == Feed::Here && self.known > self.told
    }

    /// Other nodes' messages are told no more.
    pub(super) fn unfollow(&mut self) {
        (self.feed, self.follows, self.hole_since) = (Feed::Away, false, None);
        self.early.clear();
        self.ahead.retain(|_, placed| matches!(placed, Placed::Own(..)));
        self.told = self.told.max(self.known);
    }

    /// Takes everything that has a place and is not told, in order.
    pub(super) fn take_ahead(&mut self) -> BTreeMap<u64, Placed> {
        std::mem::take(&mut self.ahead)
    }
}
