//! The checker is checked: it finds each kind of fault that is planted in a clean history, and nothing in the clean one.

use std::time::Duration;

use super::{Fault, Promise, Seen, What, check};
use arqonbus_protocol::{GapReason, MessageId, Position, Topic};

const MESSAGES: u64 = 20;

fn topic() -> Topic {
    "a:b".parse().unwrap()
}

fn id(number: u64) -> MessageId {
    format!("m{number}").parse().unwrap()
}

fn at(epoch: &str, seq: u64) -> Position {
    Position { epoch: epoch.parse().unwrap(), seq }
}

fn invoke(number: u64) -> What {
    What::Invoke { publisher: (number % 2) as u32, id: id(number), topic: topic(), payload: number * 7 }
}

fn deliver(subscription: u32, number: u64, position: Position) -> What {
    What::Deliver { subscription, topic: topic(), id: id(number), position, payload: number * 7 }
}

fn join(subscription: u32, since: Option<Position>, start: Position) -> What {
    What::Joined { subscription, topic: topic(), since, start, invoked: Duration::ZERO }
}

fn gap(subscription: u32, reason: GapReason, from: Position, to: Position) -> What {
    What::Gap { subscription, topic: topic(), reason, from: Some(from), to }
}

/// Two subscribers see twenty messages of two publishers; the second loses its connection after ten and comes back.
fn clean() -> Vec<What> {
    let mut history = vec![join(0, None, at("e1", 0)), join(1, None, at("e1", 0))];
    for number in 1..=MESSAGES {
        let position = at("e1", number);
        history.extend([invoke(number), What::Ok { id: id(number), position }, deliver(0, number, position), deliver(1, number, position)]);
        if number == 10 {
            history.extend([What::Fault(Fault::Flap), join(1, Some(position), position)]);
        }
    }
    history.push(What::Settled { topic: topic(), head: at("e1", MESSAGES) });
    history
}

fn stamped(history: Vec<What>) -> Vec<Seen> {
    (1..).map(Duration::from_millis).zip(history).map(|(at, what)| Seen { at, what }).collect()
}

fn found(history: Vec<What>) -> Vec<Promise> {
    let mut promises: Vec<_> = check(&stamped(history)).into_iter().map(|violation| violation.promise).collect();
    promises.sort_unstable();
    promises.dedup();
    promises
}

fn delivery_of(history: &[What], subscriber: u32, number: u64) -> usize {
    history
        .iter()
        .position(|what| matches!(what, What::Deliver { subscription, position, .. } if *subscription == subscriber && position.seq == number))
        .unwrap()
}

#[test]
fn a_clean_history_keeps_every_promise() {
    assert_eq!(check(&stamped(clean())), []);
}

#[test]
fn a_dropped_message_is_found() {
    let mut history = clean();
    history.remove(delivery_of(&history, 1, 7));
    assert_eq!(found(history), [Promise::G6ExactlyOnceOrGap]);
}

#[test]
fn a_message_dropped_at_the_end_is_found() {
    let mut history = clean();
    history.remove(delivery_of(&history, 1, MESSAGES));
    assert_eq!(found(history), [Promise::G6ExactlyOnceOrGap]);
}

#[test]
fn a_message_delivered_twice_is_found() {
    let mut history = clean();
    let at = delivery_of(&history, 0, 12);
    history.insert(at, history[at].clone());
    assert_eq!(found(history), [Promise::G6ExactlyOnceOrGap]);
}

#[test]
fn two_swapped_deliveries_are_found() {
    let mut history = clean();
    let earlier = history.remove(delivery_of(&history, 0, 4));
    history.insert(delivery_of(&history, 0, 5) + 1, earlier);
    assert_eq!(found(history), [Promise::G6ExactlyOnceOrGap]);
}

#[test]
fn a_message_that_nobody_published_is_found() {
    let mut history = clean();
    history.pop();
    history.extend([deliver(0, 99, at("e1", MESSAGES + 1)), deliver(1, 99, at("e1", MESSAGES + 1))]);
    assert_eq!(found(history), [Promise::G5Genuine]);
}

#[test]
fn an_altered_payload_is_found() {
    let mut history = clean();
    let altered = delivery_of(&history, 0, 3);
    history[altered] = What::Deliver { subscription: 0, topic: topic(), id: id(3), position: at("e1", 3), payload: 1 };
    assert_eq!(found(history), [Promise::G5Genuine]);
}

#[test]
fn a_refused_message_that_is_delivered_is_found() {
    let mut history = clean();
    for what in &mut history {
        if *what == (What::Ok { id: id(9), position: at("e1", 9) }) {
            *what = What::Fail { id: id(9) };
        }
    }
    assert_eq!(found(history), [Promise::G5Genuine]);
}

#[test]
fn an_epoch_used_again_after_a_restart_is_found() {
    let mut history = clean();
    history.pop();
    history.push(What::Fault(Fault::Restart));
    for subscription in [0, 1] {
        history.extend([join(subscription, Some(at("e1", MESSAGES)), at("e1", MESSAGES))]);
    }
    let position = at("e1", MESSAGES + 1);
    history.extend([invoke(MESSAGES + 1), What::Ok { id: id(MESSAGES + 1), position }]);
    history.extend([deliver(0, MESSAGES + 1, position), deliver(1, MESSAGES + 1, position)]);
    assert_eq!(found(history), [Promise::G10LostPast]);
}

#[test]
fn a_new_epoch_with_its_gap_is_clean_and_without_it_is_found() {
    let held = at("e1", MESSAGES);
    for told in [true, false] {
        let mut history = clean();
        history.pop();
        history.push(What::Fault(Fault::Restart));
        for subscription in [0, 1] {
            history.push(join(subscription, Some(held), at("e2", 0)));
            if told {
                history.push(gap(subscription, GapReason::EpochChanged, held, at("e2", 0)));
            }
        }
        history.push(invoke(50));
        history.extend([deliver(0, 50, at("e2", 1)), deliver(1, 50, at("e2", 1))]);
        let expected: &[Promise] = if told { &[] } else { &[Promise::G6ExactlyOnceOrGap] };
        assert_eq!(found(history), expected);
    }
}

#[test]
fn a_gap_that_only_a_flap_precedes_is_found() {
    let mut history = clean();
    let next = delivery_of(&history, 1, 11);
    history[next] = gap(1, GapReason::Trimmed, at("e1", 10), at("e1", 11));
    assert_eq!(found(history), [Promise::G7NoFalseGap]);
}

#[test]
fn two_messages_at_one_position_are_found() {
    let mut history = clean();
    history.extend([invoke(70), What::Ok { id: id(70), position: at("e1", 5) }]);
    assert!(found(history).contains(&Promise::G1TotalOrder));
}

#[test]
fn a_hole_is_found() {
    let mut history = clean();
    history.pop();
    let position = at("e1", MESSAGES + 2);
    history.extend([invoke(80), What::Ok { id: id(80), position }]);
    assert_eq!(found(history), [Promise::G1TotalOrder]);
}

#[test]
fn an_id_at_two_positions_is_found() {
    let mut history = clean();
    history.pop();
    let position = at("e1", MESSAGES + 1);
    history.extend([What::Ok { id: id(3), position }]);
    assert!(found(history).contains(&Promise::G9Idempotent));
}

#[test]
fn a_publisher_that_is_overtaken_by_itself_is_found() {
    let sent = [invoke(2), invoke(4)];
    let acked = [What::Ok { id: id(2), position: at("e1", 2) }, What::Ok { id: id(4), position: at("e1", 1) }];
    assert_eq!(found([sent, acked].concat()), [Promise::G2PublisherFifo]);
}

#[test]
fn an_order_against_real_time_is_found() {
    let one = [invoke(1), What::Ok { id: id(1), position: at("e1", 2) }];
    let other = [invoke(2), What::Ok { id: id(2), position: at("e1", 1) }];
    assert_eq!(found([one, other].concat()), [Promise::G3RealTime]);
}

#[test]
fn a_join_that_begins_before_an_earlier_ack_is_found() {
    let mut history = clean();
    history.pop();
    let invoked = Duration::from_secs(1);
    history.push(What::Joined { subscription: 2, topic: topic(), since: None, start: at("e1", MESSAGES - 1), invoked });
    history.push(deliver(2, MESSAGES, at("e1", MESSAGES)));
    assert_eq!(found(history), [Promise::G8JoinRace]);
}
