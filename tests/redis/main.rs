//! What needs a real Redis: each test starts its own.

// Its name is the first in order, so that what takes longest begins first.
mod endurance;
mod link;
mod node;
mod nodes;
mod store;
mod verdict;
