//! A question that is asked again.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use arqonbus_protocol::{ClientId, Direction};

use super::{settings, topic};
use crate::storage::ReadRange;
use crate::storage::redis::store::group_script::GroupPart;
use crate::storage::redis::store::script::{Caller, Library, Look, Part};

/// What the first try began may be lost before the second: were both called the same, two messages would have one position.
#[test]
fn each_try_would_begin_an_epoch_of_another_name() {
    let (library, epochs) = (Library::new(), Arc::new(AtomicU64::new(2)));
    let caller = Caller { prefix: "p".into(), node: "n".into(), token: String::new(), now: None, epochs, is_cluster: false };
    let look = Look { topic: topic(), settings: settings(), messages_before: None };
    let part = Part { topic: topic(), settings: settings(), follows: false, items: Vec::new() };
    let group = GroupPart { topic: topic(), settings: settings(), follows: false, groups: Vec::new(), questions: Vec::new() };
    let range = ReadRange { since: None, until: None, limit: 1, bytes_max: 1, direction: Direction::Forward };
    let tries = || {
        [
            caller.append(&library, &[&part], false),
            caller.heads(&library, std::slice::from_ref(&look)),
            caller.read(&library, &look, &range),
            caller.groups(&library, &group, ""),
            caller.delete(&library, &topic(), ClientId::node(1)),
        ]
    };
    for (first, second) in tries().iter().zip(tries()) {
        assert_ne!(first.get_packed_command(), second.get_packed_command());
    }
}
