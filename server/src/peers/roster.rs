//! Which other nodes live: those that were heard of a moment ago.

use std::collections::BTreeMap;

use arqonbus_protocol::ClientId;

use crate::clock::Moment;

/// The other nodes, as far as this one has heard of them.
#[derive(Debug)]
pub(super) struct Roster {
    dead_ms: u64,
    heard: BTreeMap<ClientId, Moment>,
}

impl Roster {
    /// A node is dead after `dead_ms` milliseconds of silence.
    pub(super) fn new(dead_ms: u64) -> Self {
        Self { dead_ms, heard: BTreeMap::new() }
    }

    /// Notes a sign of life; gives whether it is the first.
    pub(super) fn heard(&mut self, node: ClientId, now: Moment) -> bool {
        self.heard.insert(node, now).is_none()
    }

    /// Forgets a node; gives whether it was there.
    pub(super) fn gone(&mut self, node: &ClientId) -> bool {
        self.heard.remove(node).is_some()
    }

    /// Forgets who was silent for too long, and gives them.
    pub(super) fn bury(&mut self, now: Moment) -> Vec<ClientId> {
        let dead: Vec<ClientId> = self.heard.iter().filter(|(_, heard)| now.since(**heard) >= self.dead_ms).map(|(node, _)| *node).collect();
        for node in &dead {
            self.heard.remove(node);
        }
        dead
    }

    pub(super) fn living(&self) -> impl Iterator<Item = ClientId> {
        self.heard.keys().copied()
    }

    pub(super) fn len(&self) -> usize {
        self.heard.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_lives_from_its_first_sign_until_it_is_silent_for_too_long_or_goes() {
        let mut roster = Roster::new(100);
        let (a, b) = (ClientId::node(1), ClientId::node(2));
        assert!(roster.heard(a, Moment(0)) && roster.heard(b, Moment(50)) && !roster.heard(b, Moment(60)));
        assert_eq!(roster.bury(Moment(99)), []);
        assert_eq!(roster.bury(Moment(100)), [a]);
        assert_eq!(roster.living().collect::<Vec<_>>(), [b]);
        assert!(roster.gone(&b) && !roster.gone(&b));
    }
}
