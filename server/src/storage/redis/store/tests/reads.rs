//! What waits for messages that are missing, when the log goes on elsewhere.

use arqonbus_protocol::Direction;

use super::*;
use crate::storage::ReadRange;
use crate::storage::redis::store::script::Found;

fn range() -> ReadRange {
    ReadRange { since: None, until: None, limit: 0, bytes_max: 1, direction: Direction::Forward }
}

fn found(ends: Ends) -> Found {
    Found { ends, from: 1, to: 0, entries: Vec::new() }
}

/// A read that waits for messages of before.
#[test]
fn a_read_that_waits_when_a_new_epoch_begins_is_asked_again() {
    let mut shard = Shard::new();
    shard.open(ends(2, 0, 3));
    let ticket = shard.ticket();
    assert!(matches!(shard.store.read(&topic(), &range(), shard.now, ticket), Progress::Later));
    shard.jobs();
    let told = shard.hear(News::Read(ticket, topic(), range(), Ok(found(ends(2, 0, 5)))));
    assert!(told.is_empty(), "two messages are missing: {told:?}");
    shard.jobs();
    shard.hear(News::Heads(vec![(topic(), ends(4, 3, 3))]));
    let asked = shard.jobs().into_iter().any(|job| matches!(job, Job::Read(again, ..) if again == ticket));
    assert!(asked, "what it waits for never comes");
    let told = shard.hear(News::Read(ticket, topic(), range(), Ok(found(ends(4, 3, 3)))));
    assert!(matches!(told[..], [Told::Answer(answered, Answer::Read(Ok(_)))] if answered == ticket), "{told:?}");
}

/// Whether the store asks for what is missing, within a while.
fn fills(shard: &mut Shard) -> bool {
    for _ in 0..4 {
        let jobs = shard.jobs();
        if jobs.iter().any(|job| matches!(job, Job::Fill(..))) {
            return true;
        }
        shard.now = shard.now.plus_ms(50);
        if jobs.iter().any(|job| matches!(job, Job::Wake(_))) {
            shard.hear(News::Awake);
        }
    }
    false
}

#[test]
fn what_is_missing_when_an_outage_begins_is_read_when_it_is_over() {
    let mut shard = Shard::new();
    shard.open(ends(2, 0, 3));
    shard.hear(News::Heads(vec![(topic(), ends(2, 0, 5))]));
    assert!(fills(&mut shard));
    shard.hear(News::Filled(topic(), Err(away())));
    shard.hear(News::Down);
    assert!(!fills(&mut shard), "there is nobody to ask");
    shard.hear(News::Up);
    shard.hear(News::Heads(vec![(topic(), ends(2, 0, 5))]));
    assert!(fills(&mut shard), "two messages are missing, and nobody asks for them");
}

#[test]
fn what_is_missing_in_a_new_epoch_is_read_though_the_former_was_asked_for() {
    let mut shard = Shard::new();
    shard.open(ends(2, 0, 3));
    shard.hear(News::Heads(vec![(topic(), ends(2, 0, 5))]));
    assert!(fills(&mut shard));
    shard.hear(News::Heads(vec![(topic(), ends(4, 3, 4))]));
    fills(&mut shard);
    shard.hear(News::Filled(topic(), Ok(found(ends(2, 0, 5)))));
    assert!(fills(&mut shard), "a message is missing, and nobody asks for it");
}

/// An answer was lost on its way, and the message was offered again: its members have not heard of it.
#[test]
fn a_message_that_was_stored_before_anybody_heard_of_it_is_read_at_once() {
    let mut shard = Shard::new();
    shard.open(ends(2, 0, 3));
    shard.publish("four");
    shard.batch();
    shard.hear(News::Appended(vec![Ok(Written { epoch: 2, start: 0, outcomes: vec![Outcome::Duplicate(4)] })]));
    assert!(fills(&mut shard), "it waits for the next look at the heads");
}

/// A feed that is not taken from fast enough is interrupted again and again, and a look at everything is no small question.
#[test]
fn all_heads_are_looked_at_once_at_a_time() {
    let mut shard = Shard::new();
    shard.open(ends(2, 0, 3));
    let looks = |shard: &mut Shard| shard.jobs().iter().filter(|job| matches!(job, Job::AllHeads(_))).count();
    for _ in 0..10 {
        shard.hear(News::Interrupted);
    }
    assert_eq!(looks(&mut shard), 1);
    shard.hear(News::AllHeads(vec![(topic(), ends(2, 0, 3))]));
    assert_eq!(looks(&mut shard), 1, "what was interrupted since");
    shard.hear(News::AllHeads(vec![(topic(), ends(2, 0, 3))]));
    assert_eq!(looks(&mut shard), 0);
}
