//! What is given back to Redis after an outage, and in which order.

use arqonbus_protocol::{GapReason, StorageState};

use super::*;
use crate::storage::redis::store::notice::Notice;

/// So many messages were taken without Redis, which is back.
fn back_with(count: usize) -> (Shard, Vec<String>) {
    let mut shard = Shard::new();
    shard.open(ends(2, 0, 0));
    shard.hear(News::Down);
    let texts: Vec<String> = (0..count).map(|n| format!("{n:04}")).collect();
    for text in &texts {
        shard.publish(text);
    }
    shard.hear(News::Up);
    shard.hear(opened(ends(2, 0, 0)));
    (shard, texts)
}

/// Redis was away, and has lost what it had acknowledged just before.
#[test]
fn what_was_acknowledged_before_an_outage_is_put_back_in_front_of_what_was_taken_meanwhile() {
    let mut shard = Shard::new();
    shard.open(ends(2, 0, 0));
    shard.stored("one", 2, 1);
    shard.stored("two", 2, 2);
    shard.hear(News::Down);
    shard.publish("three");
    // Longer than what was acknowledged is remembered while all is well.
    for _ in 0..60 {
        shard.now = shard.now.plus_ms(1_000);
        shard.store.sweep(shard.now);
    }
    shard.hear(News::Up);
    shard.store.sweep(shard.now);
    shard.hear(opened(ends(4, 1, 1)));
    assert_eq!(shard.batch(), Some(vec!["two".to_owned(), "three".to_owned()]));
    assert_eq!(shard.metrics.acked_lost.value(), 0);
}

/// As many as need several batches, of which the first meets the next outage.
#[test]
fn what_could_not_be_put_back_keeps_its_order() {
    let (mut shard, texts) = back_with(1_200);
    assert_eq!(shard.batch().expect("a batch").len(), 512);
    shard.hear(News::Appended(vec![Err(away())]));
    shard.hear(News::Up);
    shard.hear(opened(ends(2, 0, 0)));
    let mut put_back = Vec::new();
    while let Some(batch) = shard.batch() {
        put_back.extend(batch.clone());
        shard.hear(written(2, 0, put_back.len() as u64 - batch.len() as u64 + 1..=put_back.len() as u64));
    }
    assert!(put_back == texts, "{:?}", put_back.chunks(512).map(|batch| &batch[0]).collect::<Vec<_>>());
}

/// The outage begins between two batches.
#[test]
fn what_waits_to_be_put_back_keeps_its_order_too() {
    let (mut shard, texts) = back_with(1_200);
    shard.batch();
    shard.hear(News::Down);
    shard.hear(written(2, 0, 1..=512));
    shard.publish("last");
    shard.hear(News::Up);
    shard.hear(opened(ends(2, 0, 512)));
    let mut put_back = Vec::new();
    while let Some(batch) = shard.batch() {
        put_back.extend(batch.clone());
        let last = 512 + put_back.len() as u64;
        shard.hear(written(2, 0, last - batch.len() as u64 + 1..=last));
    }
    assert_eq!(put_back, texts[512..].iter().cloned().chain(["last".to_owned()]).collect::<Vec<_>>());
}

#[test]
fn a_log_that_redis_takes_nothing_of_is_restored_without_what_it_refuses() {
    let mut shard = Shard::new();
    shard.open(ends(2, 0, 0));
    shard.hear(News::Down);
    shard.publish("one");
    shard.hear(News::Up);
    shard.hear(opened(ends(2, 0, 0)));
    assert_eq!(shard.batch(), Some(vec!["one".to_owned()]));
    let told = shard.hear(News::Appended(vec![Err(Failure { outage: false, ..away() })]));
    assert!(told.iter().any(|told| matches!(told, Told::Moved { reason: Some(GapReason::Restored), .. })), "{told:?}");
    assert_eq!((shard.store.state(), shard.metrics.outage_lost.value()), (StorageState::Healthy, 1));
}

/// A second loss, while the first is being mended.
#[test]
fn what_was_put_back_is_put_back_again_when_it_is_lost_again() {
    let (mut shard, texts) = back_with(600);
    assert_eq!(shard.batch().expect("a batch").len(), 512);
    shard.hear(written(2, 0, 1..=512));
    assert_eq!(shard.batch().expect("a batch").len(), 88);
    shard.hear(written(4, 0, 1..=88));
    assert_eq!(shard.batch().map(|batch| batch == texts[..512]), Some(true));
    assert_eq!(shard.metrics.acked_lost.value(), 0);
}

#[test]
fn what_was_acknowledged_before_a_deletion_does_not_come_back() {
    let mut shard = Shard::new();
    shard.open(ends(2, 0, 0));
    shard.stored("one", 2, 1);
    let ticket = shard.ticket();
    assert!(matches!(shard.store.delete(&topic(), ClientId::node(1), ticket), Progress::Later));
    shard.hear(News::Deleted(ticket, topic(), Ok(())));
    shard.open(ends(4, 0, 0));
    shard.hear(News::Heads(vec![(topic(), ends(6, 0, 0))]));
    assert_eq!(shard.batch(), None);
}

#[test]
fn what_was_acknowledged_is_put_back_though_its_log_was_closed_meanwhile() {
    let mut shard = Shard::new();
    shard.open(ends(2, 0, 0));
    shard.stored("one", 2, 1);
    shard.store.close(&topic());
    let ticket = shard.ticket();
    assert!(matches!(shard.store.open(&topic(), &settings(), shard.now, ticket), Progress::Later));
    shard.hear(opened(ends(4, 0, 0)));
    assert_eq!(shard.batch(), Some(vec!["one".to_owned()]));
    assert!(!shard.store.is_forgettable(&topic(), shard.now), "it would be written to without its bounds");
}

#[test]
fn what_waits_to_be_put_back_is_forgotten_when_another_node_deletes_the_log() {
    let mut shard = Shard::new();
    shard.open(ends(2, 0, 0));
    shard.stored("one", 2, 1);
    shard.publish("two");
    assert_eq!(shard.batch(), Some(vec!["two".to_owned()]));
    shard.hear(News::Heads(vec![(topic(), ends(4, 0, 0))]));
    let told = shard.hear(News::Noticed(topic(), Notice::Deleted { node: ClientId::node(2), by: ClientId::node(3) }));
    assert!(matches!(told[..], [Told::Deleted { .. }]), "{told:?}");
    shard.hear(written(4, 0, 1..=1));
    assert_eq!(shard.batch(), None);
}

/// Nobody here had joined, so that another node says it by another way.
#[test]
fn what_was_acknowledged_does_not_come_back_once_the_store_is_told_of_a_deletion() {
    let mut shard = Shard::new();
    shard.open(ends(2, 0, 0));
    shard.stored("one", 2, 1);
    shard.store.forget(&topic());
    shard.open(ends(4, 0, 0));
    assert_eq!(shard.batch(), None);
}

fn refused() -> Failure {
    Failure { sure: true, outage: false, why: "WRONGTYPE".into() }
}

/// Redis is there, and does not do it: in memory each node would have another log, and nobody would know.
#[test]
fn a_log_that_redis_refuses_to_open_is_not_opened_in_memory() {
    let mut shard = Shard::new();
    let ticket = shard.ticket();
    assert!(matches!(shard.store.open(&topic(), &settings(), shard.now, ticket), Progress::Later));
    let told = shard.hear(News::Opened(topic(), Err(refused())));
    assert!(matches!(told[..], [Told::Answer(_, Answer::Opened(Err(_)))]), "{told:?}");
}

#[test]
fn a_log_that_redis_refuses_to_take_back_is_offered_again_in_a_while_and_the_others_are_left_alone() {
    let mut shard = Shard::new();
    shard.open(ends(2, 0, 0));
    shard.hear(News::Down);
    shard.publish("one");
    shard.hear(News::Up);
    shard.jobs();
    shard.hear(News::Opened(topic(), Err(refused())));
    assert_eq!(shard.store.state(), StorageState::Healing);
    let jobs = shard.jobs();
    assert!(jobs.is_empty(), "Redis is there: {jobs:?}");
    shard.now = shard.now.plus_ms(60_000);
    shard.store.sweep(shard.now);
    assert!(shard.jobs().iter().any(|job| matches!(job, Job::Open(_))), "it is not tried again");
    shard.hear(opened(ends(2, 0, 0)));
    assert_eq!(shard.batch(), Some(vec!["one".to_owned()]));
}

/// The answer to what this node appended came before the word of the deletion.
#[test]
fn what_was_acknowledged_does_not_come_back_where_the_epoch_says_that_it_was_deleted() {
    let mut shard = Shard::new();
    shard.open(ends(2, 0, 0));
    shard.stored("one", 2, 1);
    shard.publish("two");
    shard.batch();
    shard.hear(written(5, 0, 1..=1));
    assert_eq!((shard.batch(), shard.metrics.acked_lost.value()), (None, 0));
    shard.hear(News::Heads(vec![(topic(), ends(6, 0, 0))]));
    assert_eq!(shard.batch(), Some(vec!["two".to_owned()]), "what is lost afterwards is");
}

/// A Redis that throws keys away because its memory is full must not be made to throw away others without end.
#[test]
fn what_is_lost_again_and_again_is_put_back_for_a_while_only() {
    let mut shard = Shard::new();
    shard.open(ends(2, 0, 0));
    shard.stored("one", 2, 1);
    let mut put_back = 0;
    for epoch in (4..40).step_by(2) {
        shard.now = shard.now.plus_ms(3_000);
        shard.store.sweep(shard.now);
        shard.hear(News::Heads(vec![(topic(), ends(epoch, 0, 0))]));
        if shard.batch().is_some() {
            put_back += 1;
            shard.hear(written(epoch, 0, 1..=1));
        }
    }
    assert!((2..8).contains(&put_back), "{put_back} times");
}

/// It may have been stored before the outage, and its answer lost: it must be recognised although its id would be forgotten by now.
#[test]
fn what_is_put_back_is_recognised_after_an_outage_that_was_longer_than_ids_are_remembered() {
    let mut shard = Shard::new();
    shard.open(ends(2, 0, 0));
    shard.publish("in doubt");
    shard.batch();
    shard.hear(News::Down);
    shard.hear(News::Appended(vec![Err(Failure { sure: false, ..away() })]));
    shard.now = shard.now.plus_ms(600_000);
    shard.hear(News::Up);
    shard.hear(opened(ends(4, 1, 1)));
    let remembered = |shard: &mut Shard| {
        let parts = shard.jobs().into_iter().find_map(|job| if let Job::Append(parts) = job { Some(parts) } else { None });
        parts.expect("a batch")[0].settings.dedup_ms
    };
    assert!(remembered(&mut shard) > 600_000 + settings().dedup_ms);
    shard.hear(News::Appended(vec![Ok(Written { epoch: 4, start: 1, outcomes: vec![Outcome::Duplicate(1)] })]));
    shard.publish("another");
    assert_eq!(remembered(&mut shard), settings().dedup_ms);
}
