//! Switches that take a mechanism away, so that a test can show that it would notice.

use arqonbus_protocol::ClientId;

use super::Peers;
#[cfg(any(test, feature = "sabotage"))]
use crate::sim::Sabotage;

#[cfg(any(test, feature = "sabotage"))]
impl Peers {
    /// Whom a question goes to: every node that lives.
    pub(super) fn asked_of(&self) -> impl Iterator<Item = ClientId> {
        let asks = !self.shared.sabotages(Sabotage::AskNoNode);
        self.roster.living().filter(move |_| asks)
    }

    /// Who was silent for too long.
    pub(super) fn dead(&mut self) -> Vec<ClientId> {
        if self.shared.sabotages(Sabotage::KeepTheDead) { Vec::new() } else { self.roster.bury(self.now) }
    }

    /// Whether what happens here is kept from the others.
    pub(super) fn is_mute(&self) -> bool {
        self.shared.sabotages(Sabotage::TellNoNode)
    }

    /// Whether a question that was not answered by all counts as answered.
    pub(super) fn claims_complete(&self) -> bool {
        self.shared.sabotages(Sabotage::ClaimComplete)
    }

    /// Whether what Redis holds counts.
    pub(super) fn believes_redis(&self) -> bool {
        !self.shared.sabotages(Sabotage::ForgetWhatRedisHolds) && !self.shared.sabotages(Sabotage::AskNoNode)
    }

    /// Whether nothing counts as missed.
    pub(super) fn trusts_the_feed(&self) -> bool {
        self.shared.sabotages(Sabotage::TrustTheFeed)
    }

    /// Whether this node goes without a word.
    pub(super) fn leaves_silently(&self) -> bool {
        self.shared.sabotages(Sabotage::LeaveSilently)
    }

    /// Whether what was told before is told again.
    pub(super) fn forgets_ids(&self) -> bool {
        self.shared.sabotages(Sabotage::ForgetIdsElsewhere)
    }
}

#[cfg(not(any(test, feature = "sabotage")))]
#[expect(clippy::unused_self, reason = "of the same shape as with switches")]
impl Peers {
    pub(super) fn asked_of(&self) -> impl Iterator<Item = ClientId> {
        self.roster.living()
    }

    pub(super) fn dead(&mut self) -> Vec<ClientId> {
        self.roster.bury(self.now)
    }

    pub(super) fn is_mute(&self) -> bool {
        false
    }

    pub(super) fn claims_complete(&self) -> bool {
        false
    }

    pub(super) fn believes_redis(&self) -> bool {
        true
    }

    pub(super) fn trusts_the_feed(&self) -> bool {
        false
    }

    pub(super) fn leaves_silently(&self) -> bool {
        false
    }

    pub(super) fn forgets_ids(&self) -> bool {
        false
    }
}
