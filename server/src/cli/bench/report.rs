//! What a measurement came to.

use serde_json::{Map, Value};

use crate::cli::format;

/// One figure, with its unit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Figure {
    /// So many.
    Count(u64),
    /// So many in a second.
    Rate(f64),
    /// So long.
    Micros(u64),
}

/// Figures by name, in order.
#[derive(Debug, Default)]
pub(super) struct Report(Vec<(&'static str, Figure)>);

impl Report {
    /// Adds a figure.
    pub(super) fn with(mut self, name: &'static str, figure: Figure) -> Self {
        self.0.push((name, figure));
        self
    }

    /// Adds how often `count` things happened in a second.
    pub(super) fn rate(self, name: &'static str, count: u64, us: u64) -> Self {
        self.with(name, Figure::Rate(count as f64 * 1e6 / us as f64))
    }

    /// Adds the usual quantiles of `taken`.
    pub(super) fn quantiles(self, taken: &mut [u64]) -> Self {
        taken.sort_unstable();
        let at = |share: f64| Figure::Micros(quantile(taken, share));
        [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0)]
            .into_iter()
            .fold(self, |report, (name, share)| report.with(name, at(share)))
    }

    /// As one line of JSON: rates per second, times in microseconds.
    pub(super) fn json(&self) -> String {
        let figures = self.0.iter().map(|(name, figure)| match figure {
            Figure::Count(count) => (key(name), Value::from(*count)),
            Figure::Rate(rate) => (format!("{}_per_second", key(name)), Value::from(rate.round())),
            Figure::Micros(us) => (format!("{}_us", key(name)), Value::from(*us)),
        });
        Value::Object(figures.collect::<Map<_, _>>()).to_string() + "\n"
    }

    /// As a table.
    pub(super) fn table(&self) -> String {
        let rows = self.0.iter().map(|(name, figure)| {
            let value = match figure {
                Figure::Count(count) => count.to_string(),
                Figure::Rate(rate) => format!("{rate:.0}/s"),
                Figure::Micros(us) => format::micros(*us),
            };
            vec![(*name).to_owned(), value]
        });
        format::table(&["figure", "value"], &rows.collect::<Vec<_>>())
    }
}

fn key(name: &str) -> String {
    name.replace([' ', '.'], "_")
}

/// The smallest value that `share` of all do not exceed.
fn quantile(sorted: &[u64], share: f64) -> u64 {
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_occurred() {
        let sorted: Vec<u64> = (1..=1000).collect();
        assert_eq!([0.5, 0.99, 0.999, 1.0].map(|share| quantile(&sorted, share)), [500, 990, 999, 1000]);
        assert_eq!(quantile(&[7], 0.5), 7);
        assert_eq!(quantile(&[], 0.5), 0);
    }

    #[test]
    fn figures_keep_their_unit() {
        let report = Report::default().with("messages", Figure::Count(3)).rate("acked publishes", 3, 1_500_000).quantiles(&mut [2_000]);
        assert!(report.json().starts_with(r#"{"messages":3,"acked_publishes_per_second":2.0,"p50_us":2000,"#), "{}", report.json());
        assert!(report.table().contains("acked publishes  2/s\n"), "{}", report.table());
        assert!(report.table().contains("p99.9            2.00 ms\n"), "{}", report.table());
    }
}
