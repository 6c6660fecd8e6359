//! Where delivery starts for a subscriber that comes with a position, and the gap that it is told first.

use arqonbus_protocol::{Gap, GapReason, Position};

use super::LogState;

/// Where a subscription goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resume {
    /// Delivery begins at the position after this.
    pub start: Position,
    /// What it must be told before; the caller fills in `refetch_after_ms`.
    pub gap: Option<Gap>,
}

/// Goes on after `since` where the log can prove that nothing is missing, else after a gap (FR-030, FR-031).
///
/// | `since` | gap | delivery starts with |
/// |---|---|---|
/// | of another epoch | `epoch_changed` | the first entry held |
/// | after the head | `ahead` | the next message |
/// | before the entry that precedes the first held | `trimmed` | the first entry held |
/// | anything else | – | the entry after `since` |
#[must_use]
pub fn resume(since: Position, state: &LogState) -> Resume {
    let (reason, to) = if since.epoch != state.head.epoch {
        (GapReason::EpochChanged, before_first(state))
    } else if since.seq > state.head.seq {
        (GapReason::Ahead, state.head)
    } else if since.seq < before_first(state).seq {
        (GapReason::Trimmed, before_first(state))
    } else {
        return Resume { start: since, gap: None };
    };
    Resume { start: to, gap: Some(Gap { reason, from: Some(since), to, refetch_after_ms: 0 }) }
}

/// Where delivery starts for one who asks for the last `n` messages, or as many as are held.
#[must_use]
pub fn replay_start(n: u64, state: &LogState) -> Position {
    let seq = state.head.seq.saturating_sub(n).max(before_first(state).seq);
    Position { seq, ..state.head }
}

/// The last position that is not held: all that follow it are.
fn before_first(state: &LogState) -> Position {
    Position { seq: state.first_seq.map_or(state.head.seq, |first| first - 1), ..state.head }
}

#[cfg(test)]
mod tests {
    use arqonbus_protocol::{Epoch, SEQ_MAX};

    use super::*;

    fn at(epoch: u64, seq: u64) -> Position {
        Position { epoch: Epoch::from_number(epoch), seq }
    }

    fn log(first_seq: Option<u64>, head: u64) -> LogState {
        LogState { head: at(1, head), first_seq, messages: first_seq.map_or(0, |first| head - first + 1), bytes: 0 }
    }

    #[test]
    fn goes_on_or_tells_the_gap() {
        use GapReason::{Ahead, EpochChanged, Trimmed};
        let (full, emptied, new) = (log(Some(5), 9), log(None, 9), log(None, 0));
        // The log, the position, and the gap's reason with its end where there is one.
        let table = [
            (full, at(1, 0), Some((Trimmed, 4))),
            (full, at(1, 3), Some((Trimmed, 4))),
            (full, at(1, 4), None),
            (full, at(1, 5), None),
            (full, at(1, 8), None),
            (full, at(1, 9), None),
            (full, at(1, 10), Some((Ahead, 9))),
            (full, at(1, SEQ_MAX), Some((Ahead, 9))),
            (full, at(2, 0), Some((EpochChanged, 4))),
            (full, at(2, 7), Some((EpochChanged, 4))),
            (full, at(2, SEQ_MAX), Some((EpochChanged, 4))),
            (emptied, at(1, 0), Some((Trimmed, 9))),
            (emptied, at(1, 8), Some((Trimmed, 9))),
            (emptied, at(1, 9), None),
            (emptied, at(1, 10), Some((Ahead, 9))),
            (emptied, at(2, 9), Some((EpochChanged, 9))),
            (new, at(1, 0), None),
            (new, at(1, 1), Some((Ahead, 0))),
            (new, at(2, 0), Some((EpochChanged, 0))),
            (log(Some(1), 3), at(1, 0), None),
            (log(Some(1), 3), at(2, 3), Some((EpochChanged, 0))),
            (log(Some(SEQ_MAX), SEQ_MAX), at(1, SEQ_MAX), None),
        ];
        for (state, since, expected) in table {
            let expected = match expected {
                None => Resume { start: since, gap: None },
                Some((reason, to)) => Resume { start: at(1, to), gap: Some(Gap { reason, from: Some(since), to: at(1, to), refetch_after_ms: 0 }) },
            };
            assert_eq!(resume(since, &state), expected, "{since:?} in {state:?}");
        }
    }

    #[test]
    fn replays_the_last_ones_that_are_held() {
        for (state, n, start) in [
            (log(Some(5), 9), 0, 9),
            (log(Some(5), 9), 1, 8),
            (log(Some(5), 9), 5, 4),
            (log(Some(5), 9), 6, 4),
            (log(Some(5), 9), u64::MAX, 4),
            (log(None, 9), 3, 9),
            (log(None, 0), 3, 0),
        ] {
            assert_eq!(replay_start(n, &state), at(1, start), "{n} of {state:?}");
        }
    }
}
