//! The ways between shards: questions and deliveries, each in order, each bounded.
//!
//! Questions and deliveries travel apart, each by a courier of its own. Whoever takes deliveries never waits, so that deliveries always arrive; whoever takes
//! questions may wait until its own deliveries have left. Hence no circle of shards can wait for each other.

use std::cell::RefCell;
use std::rc::Rc;

use tokio::sync::{Notify, mpsc};

use super::Core;
use crate::fanout::Delivery;
use crate::routing::Op;

/// Parcels under way to one shard; each holds what gathered while the one before was sent.
const PARCELS_MAX: usize = 64;

/// The receiving ends of one shard.
pub(crate) struct Wires {
    pub(crate) ops: mpsc::Receiver<Vec<Op>>,
    pub(crate) deliveries: mpsc::Receiver<Vec<Delivery>>,
}

/// The sending ends to one shard.
#[derive(Clone)]
pub(crate) struct Way {
    pub(crate) ops: mpsc::Sender<Vec<Op>>,
    pub(crate) deliveries: mpsc::Sender<Vec<Delivery>>,
}

impl Wires {
    pub(crate) fn new() -> (Way, Self) {
        let (ops, ops_end) = mpsc::channel(PARCELS_MAX);
        let (deliveries, deliveries_end) = mpsc::channel(PARCELS_MAX);
        (Way { ops, deliveries }, Self { ops: ops_end, deliveries: deliveries_end })
    }
}

/// What wakes the tasks of a shard.
#[derive(Default)]
pub(crate) struct Bells {
    /// Connections have something to write.
    pub(crate) flush: Notify,
    /// Large audiences are owed something.
    pub(crate) slices: Notify,
    /// Questions wait for another shard; one bell a courier.
    ops: Vec<Notify>,
    /// Deliveries do.
    deliveries: Vec<Notify>,
    /// Values have left.
    pub(crate) drained: Notify,
}

impl Bells {
    pub(crate) fn new(shards: usize) -> Self {
        let bells = || (0..shards).map(|_| Notify::new()).collect();
        Self { ops: bells(), deliveries: bells(), ..Self::default() }
    }

    /// Wakes whoever has work after a tick.
    pub(crate) fn ring(&self, core: &Core) {
        if !core.edge.dirty.is_empty() {
            self.flush.notify_one();
        }
        if core.edge.audiences.are_behind() {
            self.slices.notify_one();
        }
        for (bell, _) in self.ops.iter().zip(&core.ops).filter(|(_, ops)| !ops.is_empty()) {
            bell.notify_one();
        }
        for (bell, _) in self.deliveries.iter().zip(&core.deliveries).filter(|(_, deliveries)| !deliveries.is_empty()) {
            bell.notify_one();
        }
    }
}

/// Carries questions to shard `to`, for ever.
pub(crate) async fn carry_ops(core: Rc<RefCell<Core>>, bells: Rc<Bells>, to: usize, way: Way) {
    carry(&bells, &bells.ops[to], &way.ops, || std::mem::take(&mut core.borrow_mut().ops[to])).await;
}

/// Carries deliveries to shard `to`, for ever.
pub(crate) async fn carry_deliveries(core: Rc<RefCell<Core>>, bells: Rc<Bells>, to: usize, way: Way) {
    carry(&bells, &bells.deliveries[to], &way.deliveries, || std::mem::take(&mut core.borrow_mut().deliveries[to])).await;
}

async fn carry<T>(bells: &Bells, bell: &Notify, way: &mpsc::Sender<Vec<T>>, take: impl Fn() -> Vec<T>) {
    loop {
        let parcel = take();
        if parcel.is_empty() {
            bell.notified().await;
        } else if way.send(parcel).await.is_ok() {
            bells.drained.notify_waiters();
        } else {
            return;
        }
    }
}

/// Waits while too much waits for other shards.
pub(crate) async fn unclogged(core: &RefCell<Core>, bells: &Bells) {
    loop {
        let drained = bells.drained.notified();
        if !core.borrow().is_clogged() {
            return;
        }
        drained.await;
    }
}
