//! Logs in Redis: kept, ordered, shared by nodes, and what is said when Redis loses them or is away.

mod cluster;
mod excluded;
mod faults;
mod fence;
mod following;
mod group_churn;
mod group_faults;
mod groups;
mod load;
mod outage;
mod refusals;
mod repeats;
mod suite;
mod thin;

use crate::node::{Node, all_are, history};
use crate::verdict::{shows, verdict};
