//! What happens next: one of the things that could, chosen by the seed.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, Waker};

use super::SimBus;
use crate::clock::Moment;
use crate::shard::{connections, flusher};

/// Milliseconds between sweeps, as on a shard's thread.
const SWEEP_MS: u64 = 1_000;
/// Things that may happen before a bus is said never to come to rest.
const STEPS_MAX: usize = 1_000_000;

/// One thing that could happen.
enum Turn {
    /// The task of a connection runs.
    Link(usize),
    /// A shard writes to sockets.
    Flush(usize),
    /// A shard goes on giving to large audiences.
    Slice(usize),
    /// Questions arrive.
    Ops(usize, usize),
    /// Deliveries arrive.
    Deliveries(usize, usize),
    /// A store has answered.
    Answers(usize),
}

impl SimBus {
    /// Lets one thing happen; false where there is nothing to do.
    pub fn step(&mut self) -> bool {
        self.gather();
        let turns = self.turns();
        if turns.is_empty() {
            return false;
        }
        let at = self.rng.index(turns.len());
        match turns[at] {
            Turn::Link(link) => self.serve(link),
            Turn::Flush(shard) => self.flush(shard),
            Turn::Slice(shard) => {
                let shard = &mut self.shards[shard];
                flusher::slice(&mut shard.core, &shard.bells);
            }
            Turn::Ops(from, to) => self.ask(from, to),
            Turn::Deliveries(from, to) => self.deliver(from, to),
            Turn::Answers(shard) => self.shards[shard].core.take_answers(&mut Context::from_waker(Waker::noop())),
        }
        true
    }

    /// Goes on until nothing is left to do at this moment.
    ///
    /// # Panics
    /// Where that does not come to pass.
    pub fn run(&mut self) {
        for _ in 0..STEPS_MAX {
            if !self.step() {
                return;
            }
        }
        panic!("the bus does not come to rest");
    }

    /// Lets time pass; what is under way stays there unless [`SimBus::step`] moves it. Sweeps happen when they are due.
    pub fn pass(&mut self, ms: u64) {
        let end = self.clock.now().plus_ms(ms);
        while self.swept.plus_ms(SWEEP_MS) <= end {
            self.swept = self.swept.plus_ms(SWEEP_MS);
            self.clock.set(self.swept);
            for shard in &mut self.shards {
                shard.core.sweep();
            }
        }
        self.clock.set(end);
    }

    /// Lets time pass in small steps, with everything that comes of it.
    pub fn advance(&mut self, ms: u64) {
        let end = self.clock.now().plus_ms(ms);
        self.run();
        while self.clock.now() < end {
            let due = self.next_due().max(self.clock.now().plus_ms(1)).min(end);
            self.pass(due.since(self.clock.now()));
            self.run();
        }
    }

    /// Goes on until nothing is left to do, also waiting for stores.
    pub fn settle(&mut self) {
        self.run();
        while let Some(due) = self.shards.iter().filter_map(|shard| shard.late.borrow().next_due()).min() {
            self.pass(due.since(self.clock.now()));
            self.run();
        }
    }

    fn next_due(&self) -> Moment {
        let sweep = self.swept.plus_ms(SWEEP_MS);
        self.shards.iter().filter_map(|shard| shard.late.borrow().next_due()).min().map_or(sweep, |due| due.min(sweep))
    }

    /// Puts what shards have for each other under way.
    fn gather(&mut self) {
        for (shard, ways) in self.shards.iter_mut().zip(&mut self.ways) {
            for (to, way) in ways.iter_mut().enumerate() {
                way.ops.extend(shard.core.ops[to].drain(..));
                way.deliveries.extend(shard.core.deliveries[to].drain(..));
            }
        }
    }

    fn turns(&self) -> Vec<Turn> {
        let mut turns = Vec::new();
        turns.extend((self.links.iter().enumerate()).filter(|(_, link)| !link.over && link.woken.0.load(Relaxed)).map(|(at, _)| Turn::Link(at)));
        let now = self.clock.now();
        for (at, shard) in self.shards.iter().enumerate() {
            if !shard.core.edge.dirty.is_empty() {
                turns.push(Turn::Flush(at));
            }
            if shard.core.edge.audiences.are_behind() && !self.slices_held {
                turns.push(Turn::Slice(at));
            }
            if shard.late.borrow().next_due().is_some_and(|due| due <= now) {
                turns.push(Turn::Answers(at));
            }
        }
        for (from, ways) in self.ways.iter().enumerate() {
            for (to, way) in ways.iter().enumerate().filter(|(to, _)| !self.held.contains(&(from, *to))) {
                if !way.ops.is_empty() {
                    turns.push(Turn::Ops(from, to));
                }
                if !way.deliveries.is_empty() {
                    turns.push(Turn::Deliveries(from, to));
                }
            }
        }
        turns
    }

    fn serve(&mut self, at: usize) {
        let link = &mut self.links[at];
        let shard = &mut self.shards[link.shard];
        link.woken.0.store(false, Relaxed);
        let waker = Waker::from(Arc::clone(&link.woken));
        match connections::poll(&mut shard.core, &shard.bells, link.key, &mut Context::from_waker(&waker)) {
            Poll::Pending => {}
            Poll::Ready(connections::Woke::Received) => link.woken.0.store(true, Relaxed),
            Poll::Ready(connections::Woke::Ended(how)) => {
                shard.core.closed(link.key, how);
                link.over = true;
                link.pipe.cut();
            }
        }
    }

    fn flush(&mut self, shard: usize) {
        let shard = &mut self.shards[shard];
        let keys = std::mem::take(&mut shard.core.edge.dirty);
        flusher::flush(&mut shard.core, &shard.bells, &keys);
    }

    fn ask(&mut self, from: usize, to: usize) {
        let count = 1 + self.rng.index(self.ways[from][to].ops.len());
        let core = &mut self.shards[to].core;
        core.tick();
        for op in self.ways[from][to].ops.drain(..count) {
            core.home.ask(op);
        }
        core.carry();
    }

    fn deliver(&mut self, from: usize, to: usize) {
        let count = 1 + self.rng.index(self.ways[from][to].deliveries.len());
        let core = &mut self.shards[to].core;
        core.tick();
        for delivery in self.ways[from][to].deliveries.drain(..count) {
            core.edge.deliver(delivery);
        }
        core.carry();
    }
}
