//! What was measured, round by round, and how it is shown: ratios of rounds, their median and their spread.

use serde_json::{Value, json};

use crate::peer::Kind;

/// One figure of one server in one scenario, a value a round.
#[derive(Debug, Clone)]
pub(crate) struct Series {
    pub(crate) scenario: String,
    pub(crate) figure: Figure,
    pub(crate) kind: Kind,
    pub(crate) rounds: Vec<f64>,
}

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Figure {
    CpuPerMillion,
    PublishesPerSecond,
    P50,
    P99,
    P999,
    CpuShare,
    IdleBytes,
    BurstBytes,
    StartMs,
}

/// All that a run gave.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) series: Vec<Series>,
    pub(crate) notes: Vec<String>,
}

/// Which ratio to another server, or which value, is asked for by DESIGN §6.
enum Bar {
    AtMost(f64),
    AtLeast(f64),
    ValueAtMost(f64),
}

impl Figure {
    fn name(self) -> &'static str {
        match self {
            Self::CpuPerMillion => "CPU-seconds per million deliveries",
            Self::PublishesPerSecond => "acknowledged publishes per second",
            Self::P50 => "latency p50, µs",
            Self::P99 => "latency p99, µs",
            Self::P999 => "latency p99.9, µs",
            Self::CpuShare => "CPU, % of a core",
            Self::IdleBytes => "resident bytes per idle connection",
            Self::BurstBytes => "the same after a burst of 50 messages to all",
            Self::StartMs => "milliseconds from the start of the process to an accepted connection",
        }
    }

    fn bar(self, scenario: &str) -> Option<Bar> {
        let fan = scenario.starts_with("1 → ") && !scenario.starts_with("1 → 1, ");
        Some(match self {
            Self::CpuPerMillion if scenario.starts_with("200 pairs") => Bar::AtMost(0.65),
            Self::CpuPerMillion if fan && scenario.ends_with("window 1") => Bar::AtMost(0.30),
            Self::CpuPerMillion if fan && scenario.ends_with("window 16") => Bar::AtMost(0.20),
            Self::CpuPerMillion if fan && scenario.ends_with("window 256") => Bar::AtMost(0.22),
            Self::PublishesPerSecond if scenario.starts_with("1 → 1,") => Bar::AtLeast(1.2),
            Self::PublishesPerSecond if scenario.starts_with("1 → 100,") => Bar::AtLeast(5.0),
            Self::CpuShare => Bar::AtMost(0.70),
            Self::P50 => Bar::AtMost(0.75),
            Self::P99 => Bar::AtMost(0.50),
            Self::IdleBytes | Self::BurstBytes => Bar::ValueAtMost(3_000.0),
            Self::StartMs => Bar::ValueAtMost(50.0),
            Self::CpuPerMillion | Self::PublishesPerSecond | Self::P999 => return None,
        })
    }
}

impl Report {
    /// Adds a round's value.
    pub(crate) fn add(&mut self, scenario: &str, figure: Figure, kind: Kind, value: f64) {
        let alike = |series: &Series| series.scenario == scenario && series.figure == figure;
        if let Some(series) = self.series.iter_mut().find(|series| alike(series) && series.kind == kind) {
            return series.rounds.push(value);
        }
        // The servers of one figure stand together.
        let at = self.series.iter().rposition(alike).map_or(self.series.len(), |last| last + 1);
        self.series.insert(at, Series { scenario: scenario.into(), figure, kind, rounds: vec![value] });
    }

    fn of(&self, like: &Series, kind: Kind) -> Option<&Series> {
        self.series.iter().find(|series| series.kind == kind && series.scenario == like.scenario && series.figure == like.figure)
    }

    /// The ratios of each round to another server's in the same round.
    fn ratio(&self, series: &Series, to: Kind) -> Option<Spread> {
        if series.kind == to {
            return None;
        }
        let other = self.of(series, to)?;
        Spread::of(series.rounds.iter().zip(&other.rounds).map(|(own, other)| own / other))
    }

    fn verdict(&self, series: &Series) -> String {
        if !matches!(series.kind, Kind::Arqon | Kind::ArqonTwo | Kind::Against) {
            return String::new();
        }
        let ratio = self.ratio(series, Kind::Nats).map(|ratio| ratio.median);
        let value = Spread::of(series.rounds.iter().copied()).map(|value| value.median);
        let (bar, met) = match series.figure.bar(&series.scenario) {
            None => return String::new(),
            Some(Bar::AtMost(bar)) => (format!("≤ {bar}"), ratio.map(|ratio| ratio <= bar)),
            Some(Bar::AtLeast(bar)) => (format!("≥ {bar}"), ratio.map(|ratio| ratio >= bar)),
            Some(Bar::ValueAtMost(bar)) => (format!("≤ {bar} itself"), value.map(|value| value <= bar)),
        };
        match met {
            Some(true) => format!("{bar}: met"),
            Some(false) => format!("{bar}: **missed**"),
            None => bar,
        }
    }

    /// A table for people.
    pub(crate) fn markdown(&self) -> String {
        let mut text = String::new();
        let mut title = String::new();
        for series in &self.series {
            let heading = format!("{}: {}", series.scenario, series.figure.name());
            if heading != title {
                text += &format!(
                    "\n**{heading}**\n\n| server | median | least … most | ÷ nats-server | ÷ bare loop | bar |\n|---|---|---|---|---|---|\n"
                );
                title = heading;
            }
            let Some(value) = Spread::of(series.rounds.iter().copied()) else { continue };
            let shown = |ratio: Option<Spread>| {
                ratio.map_or(String::new(), |ratio| format!("{} ({} … {})", sig(ratio.median), sig(ratio.least), sig(ratio.most)))
            };
            text += &format!(
                "| {} | {} | {} … {} | {} | {} | {} |\n",
                series.kind.name(),
                sig(value.median),
                sig(value.least),
                sig(value.most),
                shown(self.ratio(series, Kind::Nats)),
                shown(self.ratio(series, Kind::Bare)),
                self.verdict(series)
            );
        }
        self.notes.iter().fold(text, |text, note| text + "\nNote: " + note + "\n")
    }

    /// The same for programs.
    pub(crate) fn json(&self) -> Value {
        let ratio =
            |series: &Series, to| self.ratio(series, to).map(|ratio| json!({"median": ratio.median, "least": ratio.least, "most": ratio.most}));
        let series = self.series.iter().map(|series| {
            json!({
                "scenario": series.scenario,
                "figure": series.figure.name(),
                "server": series.kind.name(),
                "rounds": series.rounds,
                "to_nats": ratio(series, Kind::Nats),
                "to_bare": ratio(series, Kind::Bare),
            })
        });
        json!({"series": series.collect::<Vec<_>>(), "notes": self.notes})
    }
}

/// Median and extremes.
struct Spread {
    median: f64,
    least: f64,
    most: f64,
}

impl Spread {
    fn of(values: impl Iterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.filter(|value| value.is_finite()).collect();
        values.sort_by(f64::total_cmp);
        let (least, most) = (*values.first()?, *values.last()?);
        let half = values.len() / 2;
        let median = if values.len() % 2 == 1 { values[half] } else { f64::midpoint(values[half - 1], values[half]) };
        Some(Self { median, least, most })
    }
}

/// Three significant digits.
fn sig(value: f64) -> String {
    match value.abs() {
        0.0 => "0".into(),
        small if small < 10.0 => format!("{value:.*}", (2 - small.log10().floor() as i32).max(0) as usize),
        small if small < 100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}
