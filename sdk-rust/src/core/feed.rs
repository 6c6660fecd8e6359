//! One topic of one subscription: which message may be delivered next.

use arqonbus_protocol::{Gap, GapReason, Position};

/// Own messages that will not be seen, remembered ahead of the messages before them. Past this bound the topic is repaired instead.
const SKIPS_MAX: usize = 4_096;

/// Where a topic stands.
#[derive(Debug, Clone, Default)]
pub(crate) struct Feed {
    /// The last position that the application has, or need not have.
    at: Option<Position>,
    /// A gap that the join reply implies and that was not told yet.
    owed: Option<Gap>,
    /// Positions of own messages with `exclude_sender` that lie ahead.
    skips: Vec<Position>,
}

/// What to do with a message.
#[derive(Debug, PartialEq)]
pub(crate) enum Meeting {
    /// Deliver it; before it tell the gap, where there is one.
    Next(Option<Gap>),
    /// The application has it already, or wants not to have it.
    Old,
    /// Messages before it are missing.
    Hole,
}

impl Feed {
    pub(crate) fn at(&self) -> Option<Position> {
        self.at
    }

    /// Takes the start that a join reply gives. `asked` is the position that the join named.
    pub(crate) fn start(&mut self, start: Position, asked: Option<Position>) {
        let known = asked.or(self.at);
        match known {
            // Not asked for, and begun before what is known: what comes twice is dropped.
            Some(known) if asked.is_none() && known.epoch == start.epoch && start.seq <= known.seq => {}
            Some(known) if known == start => self.at = Some(start),
            Some(known) => {
                self.at = Some(start);
                // What was owed from an earlier join and not told is a part of the same hole.
                let from = self.owed.take().and_then(|owed| owed.from).unwrap_or(known);
                self.owed = Some(Gap { reason: implied(from, start), from: Some(from), to: start, refetch_after_ms: 0 });
            }
            None => self.at = Some(start),
        }
        self.pass_skips();
    }

    /// Begins at a message whose predecessors are not known.
    pub(crate) fn begin_before(&mut self, position: Position) {
        self.at = Some(Position { seq: position.seq.saturating_sub(1), ..position });
    }

    /// Meets a message. `own` says that this client sent it and wants not to see it.
    pub(crate) fn meet(&mut self, position: Position, own: bool) -> Meeting {
        let Some(at) = self.at else { return Meeting::Hole };
        if at.epoch != position.epoch {
            return Meeting::Hole;
        }
        if position.seq <= at.seq {
            return Meeting::Old;
        }
        if position.seq > at.seq + 1 {
            return Meeting::Hole;
        }
        self.at = Some(position);
        self.pass_skips();
        if own { Meeting::Old } else { Meeting::Next(self.owed.take()) }
    }

    /// Takes a gap event; gives what the application is to be told.
    pub(crate) fn gap(&mut self, gap: Gap) -> Option<Gap> {
        if let Some(at) = self.at
            && at.epoch == gap.to.epoch
            && gap.to.seq < at.seq
        {
            // Meant for another subscription of this topic, one that began earlier.
            return None;
        }
        let from = self.owed.take().map_or(self.at.or(gap.from), |owed| owed.from);
        self.at = Some(gap.to);
        self.pass_skips();
        Some(Gap { from: from.or(gap.from), ..gap })
    }

    /// This position is an own message that will not be delivered here.
    pub(crate) fn skip(&mut self, position: Position) {
        let past = self.at.is_some_and(|at| at.epoch == position.epoch && position.seq <= at.seq);
        if !past && self.skips.len() < SKIPS_MAX {
            self.skips.push(position);
            self.pass_skips();
        }
    }

    fn pass_skips(&mut self) {
        let Some(mut at) = self.at else { return };
        while let Some(index) = self.skips.iter().position(|skip| *skip == at.next()) {
            at = self.skips.swap_remove(index);
        }
        self.skips.retain(|skip| skip.epoch != at.epoch || skip.seq > at.seq);
        self.at = Some(at);
    }
}

/// Why a log does not go on from where it was left.
fn implied(known: Position, start: Position) -> GapReason {
    if known.epoch != start.epoch {
        GapReason::EpochChanged
    } else if start.seq < known.seq {
        GapReason::Ahead
    } else {
        GapReason::Trimmed
    }
}

#[cfg(test)]
mod tests {
    use arqonbus_protocol::Epoch;

    use super::*;

    fn at(seq: u64) -> Position {
        Position { epoch: Epoch::from_number(1), seq }
    }

    #[test]
    fn a_gap_that_was_owed_is_told_from_where_it_began_though_another_join_came_between() {
        let mut feed = Feed::default();
        feed.start(at(2), Some(at(0)));
        feed.start(at(3), Some(at(2)));
        let told = Gap { reason: GapReason::Trimmed, from: Some(at(0)), to: at(3), refetch_after_ms: 0 };
        assert_eq!(feed.clone().meet(at(4), false), Meeting::Next(Some(told)));
        assert_eq!(feed.gap(Gap { from: Some(at(2)), ..told }), Some(told));
    }
}
