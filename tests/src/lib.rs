//! What the tests of the whole bus share: a harness to start and to torment it, and a checker of what it promised.
#![allow(clippy::unwrap_used, reason = "a harness fails its test by panicking")]
#![allow(clippy::needless_pass_by_value, reason = "`json!` makes a value for the call: an ampersand in every line of a test says nothing")]

pub mod checker;
pub mod harness;
pub mod load;
pub mod run;
