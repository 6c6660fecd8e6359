//! `history`: a topic's messages, page by page.

use arqonbus_protocol::{Direction, Epoch, ErrorCode, Gap, HistoryArgs, HistoryBound, HistoryResult, Position, Refusal, encode_history, limits};

use crate::routing::{Asked, Home, LaneOp, Pending};
use crate::slots::Key;
use crate::storage::{Bound, LogState, Page, ReadRange, Resume, StoreError, resume};

impl Home {
    pub(crate) fn history(&mut self, key: Key, asked: Asked, args: Box<HistoryArgs>) {
        let Some(lane) = self.lanes.get(key) else { return };
        let (topic, head) = (lane.topic, lane.head);
        // A bound by a position of another epoch says nothing about this log; what that costs the reader is said in the answer's gap.
        let place = |bound: HistoryBound| match bound {
            HistoryBound::Position(position) => (position.epoch == head.epoch).then_some(Bound::Seq(position.seq)),
            HistoryBound::Timestamp(timestamp) => Some(Bound::Time(timestamp)),
        };
        let is_over = args.until.is_some_and(|until| place(until).is_none());
        let range = ReadRange {
            since: args.since.and_then(place),
            until: args.until.and_then(place),
            limit: if is_over { 0 } else { args.limit.unwrap_or(limits::HISTORY_LIMIT_DEFAULT) as usize },
            bytes_max: limits::HISTORY_PAGE_BYTES_MAX,
            direction: args.direction,
        };
        let ticket = self.ticket();
        let page = self.store.read(&topic, &range, self.now, ticket);
        self.answered(key, ticket, Pending::Op(LaneOp::History { asked, args, epoch: Some(head.epoch) }), page, Self::read);
    }

    pub(crate) fn history_read(&mut self, key: Key, asked: Asked, args: Box<HistoryArgs>, epoch: Option<Epoch>, page: Result<Page, StoreError>) {
        let topic = self.lanes.get(key).map(|lane| lane.topic);
        let page = match page {
            Ok(page) => page,
            Err(error) => return self.refuse_store(&asked, topic, &error),
        };
        // The bounds were taken for those of another log: this one began while it was read, or unnoticed where nobody follows it.
        let head = self.lanes.get(key).map(|lane| lane.head.epoch);
        if epoch != Some(page.state.head.epoch) && head == Some(page.state.head.epoch) {
            return self.history(key, asked, args);
        }
        let present = page.state.head.epoch;
        if let Some(HistoryBound::Position(until)) = args.until
            && until.epoch != present
        {
            let text = format!("the log of epoch {} has ended; the present one is {present}", until.epoch);
            return self.refuse(&asked, topic, &Refusal::new(ErrorCode::InvalidArgs, text).at("/args/until"));
        }
        let next = page.entries.last().filter(|_| page.more).map(|(seq, _)| match args.direction {
            Direction::Forward => *seq,
            Direction::Backward => *seq - 1,
        });
        let result = HistoryResult {
            messages: Vec::new(),
            head: page.state.head,
            first_seq: page.state.first_seq,
            next: next.map(|seq| Position { seq, ..page.state.head }),
            gap: missing(&args, &page.state),
        };
        let body = encode_history(&asked.request_id, &result, page.entries.iter().map(|(_, body)| &body[..]));
        self.egress.send(asked.conn, body);
    }
}

/// What lies after `since` and is no longer held.
fn missing(args: &HistoryArgs, state: &LogState) -> Option<Gap> {
    let Some(HistoryBound::Position(since)) = args.since else { return None };
    let Resume { gap, .. } = resume(since, state);
    gap
}
