//! The scenarios: what is connected, what is sent, and which figures come of it.

use crate::load::{Load, Outcome, Pace, Shape};
use crate::peer::{Kind, Peer, Programs, say};
use crate::report::{Figure, Report};

/// Everything that a scenario needs.
pub(crate) struct Bench {
    pub(crate) programs: Programs,
    pub(crate) kinds: Vec<Kind>,
    pub(crate) rounds: usize,
    /// A quick run sends this many times less.
    pub(crate) less: u64,
    pub(crate) windows: Vec<u64>,
    pub(crate) report: Report,
}

/// Connections of the idle scenario.
const IDLE_CONNECTIONS: usize = 10_000;
/// Deliveries a second of the scenario with a fixed rate, and to how many subscribers.
const PACED_DELIVERIES: u64 = 20_000;
const PACED_SUBSCRIBERS: u64 = 100;

impl Bench {
    /// One publisher to `subscribers`, closed loop, with each window.
    pub(crate) fn fan(&mut self, subscribers: usize, title: &str) -> Result<(), String> {
        let shape = Shape { topics: 1, subscribers_per_topic: subscribers };
        let mut loads = self.connect(shape)?;
        for window in self.windows.clone() {
            // So many that a server has some tenths of a second to do.
            let deliveries = match window {
                1 => 300_000,
                2..=16 => 1_500_000,
                _ => 3_000_000,
            };
            let deliveries = if subscribers == 1 { deliveries / 20 } else { deliveries };
            let each = deliveries / self.less / subscribers as u64;
            let scenario = format!("{title}, window {window}");
            self.rounds(&scenario, &mut loads, Pace::Window(window), each, |report, kind, outcome| {
                report.add(&scenario, Figure::CpuPerMillion, kind, cpu_per_million(outcome));
                if subscribers < 1_000 {
                    let per_second = outcome.publishes as f64 * 1e9 / outcome.wall_ns as f64;
                    report.add(&scenario, Figure::PublishesPerSecond, kind, per_second);
                }
            })?;
        }
        Ok(())
    }

    /// 200 publishers to 200 topics with a subscriber each, one publish in flight each.
    pub(crate) fn pairs(&mut self) -> Result<(), String> {
        let mut loads = self.connect(Shape { topics: 200, subscribers_per_topic: 1 })?;
        let scenario = "200 pairs, window 1 each";
        self.rounds(scenario, &mut loads, Pace::Window(1), 1_500 / self.less, |report, kind, outcome| {
            report.add(scenario, Figure::CpuPerMillion, kind, cpu_per_million(outcome));
        })
    }

    /// A fixed rate, far from what any server can do.
    pub(crate) fn paced(&mut self) -> Result<(), String> {
        let mut loads = self.connect(Shape { topics: 1, subscribers_per_topic: PACED_SUBSCRIBERS as usize })?;
        let scenario = "20,000 deliveries/s to 100";
        let per_second = PACED_DELIVERIES / PACED_SUBSCRIBERS;
        self.rounds(scenario, &mut loads, Pace::EveryNs(1_000_000_000 / per_second), 5 * per_second / self.less, |report, kind, outcome| {
            let at = |share: f64| outcome.latencies_ns[((outcome.latencies_ns.len() - 1) as f64 * share) as usize] as f64 / 1e3;
            report.add(scenario, Figure::CpuShare, kind, 100.0 * outcome.cpu_ns as f64 / outcome.wall_ns as f64);
            for (figure, share) in [(Figure::P50, 0.5), (Figure::P99, 0.99), (Figure::P999, 0.999)] {
                report.add(scenario, figure, kind, at(share));
            }
        })
    }

    /// Connections that do nothing, joined to one topic.
    pub(crate) fn idle(&mut self) -> Result<(), String> {
        let connections = IDLE_CONNECTIONS / self.less as usize;
        let scenario = format!("{connections} connections joined to one topic");
        for kind in self.kinds.clone() {
            say(&format!("{scenario}: {}", kind.name()));
            let peer = self.programs.start(kind)?;
            let before = settled_bytes(&peer)?;
            let mut load = Load::connect(&peer, Shape { topics: 1, subscribers_per_topic: connections })?;
            let per_connection = |bytes: u64| bytes.saturating_sub(before) as f64 / (connections + 1) as f64;
            self.report.add(&scenario, Figure::IdleBytes, kind, per_connection(settled_bytes(&peer)?));
            load.run(&peer, Pace::Window(1), 50)?;
            self.report.add(&scenario, Figure::BurstBytes, kind, per_connection(settled_bytes(&peer)?));
        }
        Ok(())
    }

    /// Starting a server.
    pub(crate) fn cold(&mut self) -> Result<(), String> {
        for _ in 0..self.rounds.max(5) {
            for kind in self.kinds.clone() {
                let peer = self.programs.start(kind)?;
                self.report.add("cold start", Figure::StartMs, kind, peer.start_ns as f64 / 1e6);
            }
        }
        Ok(())
    }

    fn connect(&self, shape: Shape) -> Result<Vec<(Peer, Load)>, String> {
        let open = |kind: &Kind| {
            let peer = self.programs.start(*kind)?;
            let load = Load::connect(&peer, shape).map_err(|error| format!("{}: {error}", kind.name()))?;
            Ok((peer, load))
        };
        self.kinds.iter().map(open).collect()
    }

    /// Runs every server in turn, round by round, after one round for warmth.
    fn rounds(
        &mut self,
        scenario: &str,
        loads: &mut [(Peer, Load)],
        pace: Pace,
        each: u64,
        note: impl Fn(&mut Report, Kind, &Outcome),
    ) -> Result<(), String> {
        for (peer, load) in &mut *loads {
            load.run(peer, pace, (each / 10).max(1))?;
        }
        for round in 1..=self.rounds {
            say(&format!("{scenario}: round {round} of {}", self.rounds));
            for (peer, load) in &mut *loads {
                let outcome = load.run(peer, pace, each)?;
                note(&mut self.report, peer.kind, &outcome);
            }
        }
        Ok(())
    }
}

fn cpu_per_million(outcome: &Outcome) -> f64 {
    outcome.cpu_ns as f64 / 1e9 / (outcome.deliveries as f64 / 1e6)
}

/// Resident memory once it has not grown or shrunk for a second, or after 15.
fn settled_bytes(peer: &Peer) -> Result<u64, String> {
    let mut last = peer.resident_bytes()?;
    for _ in 0..15 {
        std::thread::sleep(std::time::Duration::from_secs(1));
        let now = peer.resident_bytes()?;
        if now.abs_diff(last) <= 64 * 1024 {
            return Ok(now);
        }
        last = now;
    }
    Ok(last)
}
