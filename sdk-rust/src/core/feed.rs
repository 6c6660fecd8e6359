//! One topic of one subscription: which message may be delivered next.

use arqonbus_protocol::{Gap, GapReason, Position};

/// Own messages that will not be seen, remembered ahead of the messages before them. Past this bound the topic is repaired instead.
const SKIPS_MAX: usize = 4_096;

/// Where a topic stands.
#[derive(Debug, Clone, Default)]
pub(crate) struct Feed {
    /// The last position that the application has, or need not have.
    at: Option<Position>,
    /// The position that the join under way names for it.
    pub(crate) asked: Option<Position>,
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

    /// Takes the start that a join reply gives. `asked` is the position that the join named. Gives a gap that is to be told now: one that an
    /// earlier join implied, and that the server, asked from behind it, does not speak of again.
    #[must_use]
    pub(crate) fn start(&mut self, start: Position, asked: Option<Position>) -> Option<Gap> {
        let known = asked.or(self.at);
        let mut overdue = None;
        match known {
            // Not asked for, and begun before what is known: what comes twice is dropped.
            Some(known) if asked.is_none() && known.epoch == start.epoch && start.seq <= known.seq => {}
            Some(known) if known == start => {
                self.at = Some(start);
                overdue = self.owed.take();
            }
            Some(known) => {
                self.at = Some(start);
                // What was owed from an earlier join and not told is a part of the same hole.
                let from = self.owed.take().and_then(|owed| owed.from).unwrap_or(known);
                self.owed = Some(Gap { reason: implied(from, start), from: Some(from), to: start, refetch_after_ms: 0 });
            }
            None => self.at = Some(start),
        }
        self.pass_skips();
        overdue
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

    /// Meets messages that follow each other. False, and nothing has changed, unless each is the next and nothing else is to be told.
    pub(crate) fn meet_run(&mut self, first: Position, count: u64) -> bool {
        let next = self.owed.is_none() && self.skips.is_empty() && self.at.is_some_and(|at| at.next() == first);
        if next {
            self.at = Some(Position { seq: first.seq + count.saturating_sub(1), ..first });
        }
        next
    }

    /// Takes a gap event; gives what the application is to be told.
    pub(crate) fn gap(&mut self, gap: Gap) -> Option<Gap> {
        // Some gaps are meant for another subscription of this topic, one that began earlier.
        let behind = self.at.is_some_and(|at| at.epoch == gap.to.epoch && gap.to.seq < at.seq);
        let elsewhere = self.owed.is_none() && self.at == Some(gap.to) && gap.from.is_some_and(|from| Some(from) != self.at);
        if behind || elsewhere {
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
pub(crate) fn implied(known: Position, start: Position) -> GapReason {
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
    use super::*;

    fn at(epoch: &str, seq: u64) -> Position {
        Position { epoch: epoch.parse().unwrap(), seq }
    }

    fn begun(seq: u64) -> Feed {
        let mut feed = Feed::default();
        assert_eq!(feed.start(at("e", seq), None), None);
        feed
    }

    #[test]
    fn only_the_next_message_is_delivered() {
        let mut feed = begun(5);
        assert_eq!(feed.meet(at("e", 7), false), Meeting::Hole);
        assert_eq!(feed.meet(at("f", 6), false), Meeting::Hole);
        assert_eq!(feed.meet(at("e", 6), false), Meeting::Next(None));
        assert_eq!(feed.meet(at("e", 6), false), Meeting::Old);
        assert_eq!(feed.at(), Some(at("e", 6)));
    }

    #[test]
    fn a_run_is_met_as_its_messages_are_or_not_at_all() {
        let owed = Gap { reason: GapReason::Trimmed, from: Some(at("e", 1)), to: at("e", 5), refetch_after_ms: 0 };
        let ahead = vec![at("e", 7)];
        for feed in [begun(5), Feed::default(), Feed { owed: Some(owed), ..begun(5) }, Feed { skips: ahead, ..begun(5) }] {
            for first in [at("e", 5), at("e", 6), at("e", 7), at("f", 6)] {
                let (mut by_run, mut by_one) = (feed.clone(), feed.clone());
                if by_run.meet_run(first, 3) {
                    for seq in first.seq..first.seq + 3 {
                        assert_eq!(by_one.meet(Position { seq, ..first }, false), Meeting::Next(None));
                    }
                    assert_eq!(by_run.at(), by_one.at());
                } else {
                    assert_eq!(by_run.at(), feed.at());
                }
            }
        }
        assert!(begun(5).meet_run(at("e", 6), 1));
    }

    #[test]
    fn a_start_elsewhere_owes_a_gap_until_an_event_tells_it() {
        for (asked, start, reason) in [
            (at("e", 5), at("e", 9), GapReason::Trimmed),
            (at("e", 5), at("e", 2), GapReason::Ahead),
            (at("e", 5), at("f", 0), GapReason::EpochChanged),
        ] {
            let mut silent = Feed::default();
            assert_eq!(silent.start(start, Some(asked)), None);
            let owed = Gap { reason, from: Some(asked), to: start, refetch_after_ms: 0 };
            assert_eq!(silent.meet(start.next(), false), Meeting::Next(Some(owed)));

            let mut told = Feed::default();
            assert_eq!(told.start(start, Some(asked)), None);
            assert_eq!(told.gap(Gap { refetch_after_ms: 7, ..owed }), Some(Gap { refetch_after_ms: 7, ..owed }));
            assert_eq!(told.meet(start.next(), false), Meeting::Next(None));
        }
    }

    #[test]
    fn a_gap_for_somebody_else_changes_nothing() {
        let mut feed = begun(50);
        assert_eq!(feed.gap(Gap { reason: GapReason::Trimmed, from: Some(at("e", 1)), to: at("e", 40), refetch_after_ms: 0 }), None);
        assert_eq!(feed.gap(Gap { reason: GapReason::Trimmed, from: Some(at("e", 1)), to: at("e", 50), refetch_after_ms: 0 }), None);
        assert_eq!(feed.at(), Some(at("e", 50)));
    }

    #[test]
    fn own_messages_are_stepped_over_in_any_order_of_ack_and_neighbours() {
        let mut feed = begun(5);
        feed.skip(at("e", 8));
        feed.skip(at("e", 6));
        assert_eq!(feed.at(), Some(at("e", 6)));
        assert_eq!(feed.meet(at("e", 7), false), Meeting::Next(None));
        assert_eq!(feed.at(), Some(at("e", 8)), "8 was acked before 7 came");
        assert_eq!(feed.meet(at("e", 9), true), Meeting::Old, "met in a catch-up");
        feed.skip(at("e", 9));
        assert_eq!(feed.meet(at("e", 10), false), Meeting::Next(None));
        assert!(feed.skips.is_empty());
    }

    #[test]
    fn a_gap_that_was_owed_is_told_from_where_it_began_though_another_join_came_between() {
        let mut feed = Feed::default();
        assert_eq!(feed.start(at("e", 2), Some(at("e", 0))), None);
        assert_eq!(feed.start(at("e", 3), Some(at("e", 2))), None);
        let told = Gap { reason: GapReason::Trimmed, from: Some(at("e", 0)), to: at("e", 3), refetch_after_ms: 0 };
        assert_eq!(feed.clone().meet(at("e", 4), false), Meeting::Next(Some(told)));
        assert_eq!(feed.gap(Gap { from: Some(at("e", 2)), ..told }), Some(told));
    }
    #[test]
    fn a_gap_that_was_owed_is_told_at_once_where_the_next_join_begins_behind_it() {
        let mut feed = Feed::default();
        assert_eq!(feed.start(at("f", 0), Some(at("e", 4))), None, "the server's own event follows");
        let told = Gap { reason: GapReason::EpochChanged, from: Some(at("e", 4)), to: at("f", 0), refetch_after_ms: 0 };
        assert_eq!(feed.start(at("f", 0), Some(at("f", 0))), Some(told), "no event follows");
        assert_eq!(feed.meet(at("f", 1), false), Meeting::Next(None));
    }
}
