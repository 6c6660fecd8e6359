//! A model of the whole bus without sockets: real client cores against the real server core, over pipes that lose, delay and cut, on a clock
//! that stands still until it is told to go on. What applications saw is checked against the promises.
//!
//! `ARQONBUS_MODEL_CASES` sets how many cases each property runs. A failure prints the shrunk run; its seed is in it;
//! with `ARQONBUS_MODEL_SHOW` set, every run prints what was seen.
#![allow(clippy::unwrap_used, reason = "a harness fails its test by panicking")]
#![allow(clippy::print_stdout, reason = "a run is shown where that is asked for")]

mod client;
mod groups;
mod plan;
mod sabotage;
mod world;

use proptest::prelude::*;
use proptest::test_runner::{Config, FileFailurePersistence};

use plan::{Kind, Plan, plans};

pub(crate) fn cases(default: u32) -> Config {
    let cases = std::env::var("ARQONBUS_MODEL_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(default);
    Config { cases, max_shrink_iters: 20_000, failure_persistence: Some(Box::new(FileFailurePersistence::Off)), ..Config::default() }
}

fn kept(plan: &Plan) -> Result<(), TestCaseError> {
    let violations = world::play(plan, None);
    prop_assert!(violations.is_empty(), "broken: {violations:#?}");
    Ok(())
}

proptest! {
    #![proptest_config(cases(150))]

    /// Connections that are cut, delayed and slow lose nothing and repeat nothing, and nobody is told of a gap (G1, G2, G3, G5, G6, G7, G8, G9).
    #[test]
    fn flaps_alone_lose_nothing_and_make_no_gap(plan in plans(Kind::Flaps)) {
        kept(&plan)?;
    }

    /// The same where history is short and the bus loses everything now and then: what is missing is announced (G6, G10, G11).
    #[test]
    fn a_lost_or_trimmed_past_is_announced(plan in plans(Kind::Losses)) {
        kept(&plan)?;
    }

    /// The same where the store answers late and the bus has four shards.
    #[test]
    fn a_late_store_changes_nothing(plan in plans(Kind::LateStore)) {
        kept(&plan)?;
    }
}
