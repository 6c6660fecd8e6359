//! What the memory store does beyond the suite.

use super::*;
use crate::storage::suite::{self, Harness, Prompt};

/// A cap that no case but those about it comes near to.
const CAP: u64 = 1 << 20;

fn harness() -> Box<dyn Harness> {
    Box::new(Prompt::new(MemoryStore::new(7, Arc::new(Budget::new(CAP))), Some(CAP)))
}

#[test]
fn it_passes_the_suite() {
    suite::run(&mut harness);
}
