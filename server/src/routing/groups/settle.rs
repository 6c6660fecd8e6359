//! What members say of their jobs: done, again, or dead.

use arqonbus_protocol::{AckResult, ErrorCode, Refusal};

use super::{GroupOp, Settling};
use crate::routing::{Home, LaneOp, Pending};
use crate::slots::Key;
use crate::storage::{GroupAnswer, GroupId, Holder, Jobs, Outcome, Settled, StoreError};
use crate::telemetry::Returned;

impl Home {
    pub(super) fn settle_jobs(&mut self, key: Key, settling: Box<Settling>) {
        let Some(lane) = self.lanes.get(key) else { return };
        let topic = lane.topic;
        let conn = settling.asked.conn;
        if !lane.groups.get(&settling.group).is_some_and(|group| group.workers.contains_key(&conn)) {
            return self.refuse(&settling.asked, Some(topic), &not_held());
        }
        let of = GroupId { topic, group: settling.group };
        let ticket = self.ticket();
        let Some(store) = self.store.groups() else { return };
        let jobs = Jobs { epoch: settling.epoch, seqs: &settling.seqs };
        let settled = store.settle(&of, Holder::of(conn), jobs, &settling.outcome, self.now, ticket);
        let pending = Pending::Op(LaneOp::Group(GroupOp::Settle(settling)));
        self.answered(key, ticket, pending, settled.map(GroupAnswer::Settled), Self::group_answered);
    }

    pub(super) fn settled(&mut self, key: Key, settling: &Settling, settled: Settled) {
        let share = self.job_bytes_max();
        let topic = self.lanes.get(key).map(|lane| lane.topic);
        let Settled { not_held: missed, state } = settled;
        let count = (settling.seqs.len() - missed.len()) as u64;
        if let Some(group) = self.group_mut(key, settling.group) {
            group.state = state;
            // Nor does it hold those of which the store says so.
            group.release_of(settling.asked.conn, settling.epoch, &settling.seqs, share);
            group.unblock();
            if settling.outcome != Outcome::Done && count > 0 {
                group.take_back();
            }
        }
        match settling.outcome {
            Outcome::Done => self.shared.metrics.jobs_settled.add(count),
            Outcome::Again { .. } => self.tell_returned(key, settling.group, count, Returned::Nacked),
            Outcome::Dead { .. } => {}
        }
        if count == 0 {
            self.refuse(&settling.asked, topic, &not_held());
        } else {
            // `nack` answers in the same shape.
            self.egress.ok(&settling.asked, &AckResult { settled: count, not_held: missed });
        }
        self.rouse(key);
    }

    pub(super) fn refuse_settling(&mut self, key: Key, settling: &Settling, error: &StoreError) {
        let share = self.job_bytes_max();
        if let Some(group) = self.group_mut(key, settling.group).filter(|_| matches!(error, StoreError::Unknown(_))) {
            // Its member is told that it is nobody knows whose: it has room for another.
            group.release_of(settling.asked.conn, settling.epoch, &settling.seqs, share);
            self.rouse(key);
        }
        let topic = self.lanes.get(key).map(|lane| lane.topic);
        self.refuse_store(&settling.asked, topic, error);
    }
}

/// The refusal to settle what is somebody else's, or nobody's.
pub(crate) fn not_held() -> Refusal {
    Refusal::new(ErrorCode::NotHeld, "this connection holds none of these jobs").at("/args/seqs")
}
