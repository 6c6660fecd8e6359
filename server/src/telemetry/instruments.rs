//! What a metric is made of: relaxed atomics, and labels from closed lists only.

use std::fmt::{self, Write as _};
use std::marker::PhantomData;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

use serde_json::{Map, Value};

use super::labels::Label;

/// What every instrument can do for the exposition and the snapshot.
pub trait Instrument {
    /// The type as Prometheus names it.
    const KIND: &'static str;
    /// The label's name, where there is one.
    const LABEL: Option<&'static str> = None;
    /// What the present value looks like in a snapshot.
    type Snapshot: serde::Serialize;

    /// Writes the samples of the metric `name` in the text format of Prometheus.
    fn expose(&self, name: &str, out: &mut String) -> fmt::Result;

    /// The present value.
    fn snapshot(&self) -> Self::Snapshot;
}

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `n`.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Relaxed);
    }

    /// Adds one.
    pub fn inc(&self) {
        self.add(1);
    }

    /// The number now.
    #[must_use]
    pub fn value(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

impl Instrument for Counter {
    const KIND: &'static str = "counter";
    type Snapshot = u64;

    fn expose(&self, name: &str, out: &mut String) -> fmt::Result {
        writeln!(out, "{name} {}", self.value())
    }

    fn snapshot(&self) -> u64 {
        self.value()
    }
}

/// A number that goes up and down.
#[derive(Debug, Default)]
pub struct Gauge(AtomicI64);

impl Gauge {
    /// Adds one.
    pub fn inc(&self) {
        self.add(1);
    }

    /// Takes one away.
    pub fn dec(&self) {
        self.add(-1);
    }

    /// Adds `n`, which may be negative: shards batch their changes.
    pub fn add(&self, n: i64) {
        self.0.fetch_add(n, Relaxed);
    }

    /// Replaces the number.
    pub fn set(&self, n: u64) {
        self.0.store(i64::try_from(n).unwrap_or(i64::MAX), Relaxed);
    }

    /// The number now; 0 where batched changes of shards have taken it below for an instant.
    #[must_use]
    pub fn value(&self) -> u64 {
        u64::try_from(self.0.load(Relaxed)).unwrap_or(0)
    }
}

impl Instrument for Gauge {
    const KIND: &'static str = "gauge";
    type Snapshot = u64;

    fn expose(&self, name: &str, out: &mut String) -> fmt::Result {
        writeln!(out, "{name} {}", self.value())
    }

    fn snapshot(&self) -> u64 {
        self.value()
    }
}

/// One counter for each member of a closed list.
#[derive(Debug)]
pub struct Family<L> {
    counters: Box<[Counter]>,
    label: PhantomData<fn(L)>,
}

impl<L: Label> Default for Family<L> {
    fn default() -> Self {
        Self { counters: L::all().map(|_| Counter::default()).collect(), label: PhantomData }
    }
}

impl<L: Label> Family<L> {
    /// Adds `n` to the counter of `label`.
    pub fn add(&self, label: L, n: u64) {
        self.counters[label.index()].add(n);
    }

    /// The number of `label` now.
    #[must_use]
    pub fn value(&self, label: L) -> u64 {
        self.counters[label.index()].value()
    }

    /// The numbers of all labels together.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counters.iter().map(Counter::value).sum()
    }
}

impl<L: Label> Instrument for Family<L> {
    const KIND: &'static str = "counter";
    const LABEL: Option<&'static str> = Some(L::NAME);
    /// Only what is not 0.
    type Snapshot = Map<String, Value>;

    fn expose(&self, name: &str, out: &mut String) -> fmt::Result {
        L::all().try_for_each(|label| writeln!(out, "{name}{{{}=\"{}\"}} {}", L::NAME, label.text(), self.value(label)))
    }

    fn snapshot(&self) -> Map<String, Value> {
        let counted = L::all().map(|label| (label.text().into_owned(), self.value(label)));
        counted.filter(|(_, n)| *n > 0).map(|(text, n)| (text, n.into())).collect()
    }
}

/// Which member of a closed list holds now: 1 for it, 0 for the others.
#[derive(Debug)]
pub struct State<L> {
    index: AtomicU64,
    label: PhantomData<fn(L)>,
}

impl<L: Label> Default for State<L> {
    fn default() -> Self {
        Self { index: AtomicU64::new(0), label: PhantomData }
    }
}

impl<L: Label> State<L> {
    /// Replaces the state.
    pub fn set(&self, state: L) {
        self.index.store(state.index() as u64, Relaxed);
    }

    /// The state now; the first of the list until one is set.
    #[must_use]
    pub fn value(&self) -> L {
        let index = self.index.load(Relaxed);
        L::all().find(|state| state.index() as u64 == index).expect("only members of the list are set")
    }
}

impl<L: Label> Instrument for State<L> {
    const KIND: &'static str = "gauge";
    const LABEL: Option<&'static str> = Some(L::NAME);
    type Snapshot = String;

    fn expose(&self, name: &str, out: &mut String) -> fmt::Result {
        let now = self.value().index();
        L::all().try_for_each(|state| writeln!(out, "{name}{{{}=\"{}\"}} {}", L::NAME, state.text(), u8::from(state.index() == now)))
    }

    fn snapshot(&self) -> String {
        self.value().text().into_owned()
    }
}

/// Upper bounds of the latency buckets in microseconds, with the same in seconds as Prometheus wants them.
const BOUNDS: [(u64, &str); 14] = [
    (50, "0.00005"),
    (100, "0.0001"),
    (250, "0.00025"),
    (500, "0.0005"),
    (1_000, "0.001"),
    (2_500, "0.0025"),
    (5_000, "0.005"),
    (10_000, "0.01"),
    (25_000, "0.025"),
    (50_000, "0.05"),
    (100_000, "0.1"),
    (250_000, "0.25"),
    (1_000_000, "1"),
    (5_000_000, "5"),
];

/// How long something took: counts by bucket, and the sum. Taken in microseconds, exposed in seconds.
#[derive(Debug, Default)]
pub struct Histogram {
    /// Not cumulative; the last is for what is longer than every bound.
    buckets: [AtomicU64; BOUNDS.len() + 1],
    sum_us: AtomicU64,
}

/// A [`Histogram`] at one instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct HistogramSnapshot {
    /// Observations.
    pub count: u64,
    /// All of them together, in microseconds.
    pub sum_us: u64,
    /// Half of them took at most this, in microseconds: the upper bound of the bucket.
    pub p50_us: u64,
    /// 99 of 100 took at most this, in microseconds: the upper bound of the bucket.
    pub p99_us: u64,
}

impl Histogram {
    /// Counts one observation.
    pub fn observe_us(&self, us: u64) {
        self.observe_many_us(us, 1);
    }

    /// Counts `n` observations of the same length: a shard that appends a batch measures it once.
    pub fn observe_many_us(&self, us: u64, n: u64) {
        let bucket = BOUNDS.iter().position(|(bound, _)| us <= *bound).unwrap_or(BOUNDS.len());
        self.buckets[bucket].fetch_add(n, Relaxed);
        self.sum_us.fetch_add(us.saturating_mul(n), Relaxed);
    }

    fn counts(&self) -> [u64; BOUNDS.len() + 1] {
        std::array::from_fn(|bucket| self.buckets[bucket].load(Relaxed))
    }
}

impl Instrument for Histogram {
    const KIND: &'static str = "histogram";
    type Snapshot = HistogramSnapshot;

    fn expose(&self, name: &str, out: &mut String) -> fmt::Result {
        let counts = self.counts();
        let mut below = 0;
        for (count, (_, bound)) in counts.iter().zip(BOUNDS) {
            below += count;
            writeln!(out, "{name}_bucket{{le=\"{bound}\"}} {below}")?;
        }
        let all = counts.iter().sum::<u64>();
        writeln!(out, "{name}_bucket{{le=\"+Inf\"}} {all}")?;
        let sum_us = self.sum_us.load(Relaxed);
        writeln!(out, "{name}_sum {}.{:06}", sum_us / 1_000_000, sum_us % 1_000_000)?;
        writeln!(out, "{name}_count {all}")
    }

    fn snapshot(&self) -> HistogramSnapshot {
        let counts = self.counts();
        let count = counts.iter().sum::<u64>();
        HistogramSnapshot {
            count,
            sum_us: self.sum_us.load(Relaxed),
            p50_us: quantile(&counts, count.div_ceil(2)),
            p99_us: quantile(&counts, count - count / 100),
        }
    }
}

/// The upper bound of the bucket that holds the observation of this `rank`; the last bound where it is longer than all.
fn quantile(counts: &[u64], rank: u64) -> u64 {
    let mut below = 0;
    let bucket = counts.iter().position(|count| {
        below += count;
        rank > 0 && below >= rank
    });
    bucket.map_or(0, |bucket| BOUNDS[bucket.min(BOUNDS.len() - 1)].0)
}
