//! What needs a real Redis: each test starts its own.

mod link;
mod nodes;
mod store;
