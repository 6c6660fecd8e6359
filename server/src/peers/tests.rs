//! The core alone, with letters as values.

use std::sync::Arc;

use arqonbus_protocol::{JoinArgs, ListRoomsArgs, MembersArgs, MessageId, Room};

use super::letter::{Answer, Delivered, MembersHere, Print, Private, RoomPart};
use super::*;
use crate::admin::Readiness;
use crate::clock::manual::ManualClock;
use crate::config::{Config, StorageKind};
use crate::hash::Homes;
use crate::shared::Chance;
use crate::storage::redis::store::listing::Listed;
use crate::telemetry::{Metrics, Telemetry};

/// One node of two shards, and its clock.
struct Node {
    peers: Peers,
    clock: ManualClock,
}

impl Node {
    /// A node that knows these others.
    fn knowing(others: &[ClientId]) -> Self {
        let mut config = Config::default();
        config.storage.kind = StorageKind::Redis;
        let clock = ManualClock::new(Moment(0));
        let metrics = Arc::new(Metrics::default());
        let (telemetry, _) = Telemetry::new(Arc::clone(&metrics), &config.telemetry);
        let chance = Chance { secret: [0; 32], node: 1, random: 1, homes: Homes::seeded(2, 1) };
        let shared = Arc::new(Shared::with(config, 2, metrics, telemetry, Arc::new(Readiness::default()), clock.clock(), chance));
        let mut node = Self { peers: Peers::new(2, shared), clock };
        node.peers.connected();
        for other in others {
            node.hears(*other, &Said::Here);
        }
        node.said();
        node.asked();
        node
    }

    fn hears(&mut self, from: ClientId, said: &Said) {
        let text = Letter::encode(&from, &[said.encode()]);
        self.peers.received(Letter::decode(text.as_bytes()).expect("a letter"));
    }

    /// What it has said since.
    fn said(&mut self) -> Vec<(To, Said)> {
        std::mem::take(&mut self.peers.out).into_iter().map(|post| (post.to, post.said)).collect()
    }

    /// What homes here were asked since.
    fn asked(&mut self) -> Vec<Op> {
        self.peers.ops.iter_mut().flat_map(std::mem::take).collect()
    }

    /// The parts that edges here were given since: how many rooms, and whether something is missing.
    fn given(&mut self) -> Vec<(usize, bool)> {
        self.redis_holds(&[], true);
        let mut given = Vec::new();
        for delivery in self.peers.deliveries.iter_mut().flat_map(std::mem::take) {
            if let Delivery::Part { part: Part::Foreign(part), .. } = delivery {
                given.push((part.rooms.len(), part.incomplete));
            }
        }
        given
    }

    /// Answers what is to be looked up for lists; gives how many questions that were.
    fn redis_holds(&mut self, topics: &[&str], complete: bool) -> usize {
        let lookups = std::mem::take(&mut self.peers.lookups);
        let count = lookups.len();
        for (number, lookup) in lookups {
            assert!(matches!(lookup, Lookup::List(_)), "{lookup:?}");
            let head = arqonbus_protocol::Position { epoch: arqonbus_protocol::Epoch::from_number(1), seq: 1 };
            let topics = topics.iter().map(|topic| (topic.parse().unwrap(), head)).collect();
            self.peers.looked_up(number, Some(Held::Listed(Listed { topics, complete })));
        }
        count
    }

    /// What edges were told since of patterns that are being joined.
    fn parts(&mut self) -> Vec<String> {
        let told = self.peers.deliveries.iter_mut().flat_map(std::mem::take).filter_map(|delivery| {
            let Delivery::Part { part, .. } = delivery else { return None };
            match part {
                Part::Pattern { lanes } => Some(format!("{lanes} lanes")),
                Part::Refused(refusal) | Part::LaneRefused(refusal) => Some(format!("refused {}", refusal.code.as_str())),
                Part::LaneGone
                | Part::Left
                | Part::Settled
                | Part::Rooms(_)
                | Part::Channels(_)
                | Part::Status(_)
                | Part::Foreign(_)
                | Part::Peer(_) => None,
            }
        });
        told.collect()
    }

    fn asks_for_rooms(&mut self) {
        let asked = Asked { conn: ConnId { shard: 0, key: Key::NOBODY }, who: Arc::clone(&self.peers.who), request_id: id(), command: None };
        self.peers.ask(Op::ListRooms { asked, gather: 1, args: ListRoomsArgs::default() });
    }

    fn passes(&mut self, ms: u64) {
        self.clock.set(self.clock.now().plus_ms(ms));
        self.peers.sweep();
    }
}

fn other(number: u64) -> ClientId {
    ClientId::node(100 + number)
}

fn id() -> MessageId {
    "m1".parse().unwrap()
}

fn rooms(name: &str) -> Answer {
    let room: Room = name.parse().unwrap();
    Answer::Rooms(vec![RoomPart { room, members: 1, channels: 1, names: vec![7] }])
}

#[test]
fn a_question_waits_for_every_living_node() {
    let mut node = Node::knowing(&[other(1), other(2)]);
    node.asks_for_rooms();
    let said = node.said();
    let [(To::All, Said::Ask(number, Question::Rooms(_)))] = said.as_slice() else { panic!("{said:?}") };
    node.hears(other(1), &Said::Answer(*number, rooms("a")));
    node.hears(other(1), &Said::Answer(*number, rooms("a")));
    node.hears(other(3), &Said::Answer(*number, rooms("x")));
    assert_eq!(node.given(), [], "neither twice nor by a stranger");
    node.hears(other(2), &Said::Answer(*number, rooms("b")));
    assert_eq!(node.given(), [(2, false)]);
}

#[test]
fn whoever_is_alone_has_its_answer_at_once_and_whoever_is_cut_off_knows_that_something_is_missing() {
    let mut node = Node::knowing(&[]);
    node.asks_for_rooms();
    assert_eq!((node.said().len(), node.given()), (0, vec![(0, false)]));
    node.peers.disconnected();
    node.asks_for_rooms();
    assert_eq!(node.given(), [(0, true)]);
}

#[test]
fn a_list_waits_for_what_redis_holds_and_says_where_it_does_not_know() {
    let mut node = Node::knowing(&[other(1)]);
    let ask = |node: &mut Node| {
        node.asks_for_rooms();
        let number = node.peers.asked;
        node.hears(other(1), &Said::Answer(number, rooms("a")));
    };
    ask(&mut node);
    assert_eq!(node.redis_holds(&["b:one", "c:one"], true), 1);
    assert_eq!(node.given(), [(3, false)]);
    ask(&mut node);
    node.redis_holds(&["b:one"], false);
    assert_eq!(node.given(), [(2, true)], "not all of it");
    ask(&mut node);
    let (number, _) = node.peers.lookups.pop().expect("a question to Redis");
    node.peers.looked_up(number, None);
    assert_eq!(node.given(), [(1, true)], "no answer");
    ask(&mut node);
    let (number, _) = node.peers.lookups.pop().expect("a question to Redis");
    node.passes(5_000);
    assert!(!node.peers.awaits(number), "nobody waits for ever");
    assert_eq!(node.given(), [(1, true)], "no answer in time");
}

#[test]
fn a_node_that_does_not_answer_is_missing_and_a_dead_one_is_not() {
    let mut node = Node::knowing(&[other(1), other(2)]);
    node.asks_for_rooms();
    node.passes(1_000);
    assert_eq!(node.given(), [(0, true)]);
    assert_eq!(node.peers.shared.metrics.node_answers_missing.value(), 2);
    node.asks_for_rooms();
    node.hears(other(1), &Said::Gone);
    let number = node.peers.asked;
    node.hears(other(2), &Said::Answer(number, rooms("b")));
    assert_eq!(node.given(), [(1, false)]);
    // Silence is death too, and the homes are told.
    node.asked();
    node.passes(10_000);
    assert!(node.asked().iter().any(|op| matches!(op, Op::Peer(op) if matches!(**op, PeerOp::Gone { node } if node == other(2)))));
    assert_eq!(node.peers.others(), 0);
}

#[test]
fn another_nodes_question_is_answered_once_all_shards_have() {
    let mut node = Node::knowing(&[other(1)]);
    node.hears(other(1), &Said::Ask(9, Question::Rooms(ListRoomsArgs::default())));
    let gathers: Vec<u32> =
        node.asked().into_iter().filter_map(|op| if let Op::ListRooms { gather, .. } = op { Some(gather) } else { None }).collect();
    let [first, second] = gathers.as_slice() else { panic!("{gathers:?}") };
    assert_eq!(first, second);
    for (shard, names) in [(0, vec![1, 2]), (1, vec![3])] {
        assert_eq!(node.said().len(), 0, "shard {shard}");
        let part = Part::Rooms(vec![RoomPart { room: "a".parse().unwrap(), members: 1, channels: names.len() as u64, names }]);
        node.peers.deliver(Delivery::Part { conn: Key::NOBODY, gather: *first, part });
    }
    let said = node.said();
    let [(To::Node(to), Said::Answer(9, Answer::Rooms(rooms)))] = said.as_slice() else { panic!("{said:?}") };
    assert_eq!((*to, rooms.len(), rooms[0].channels, rooms[0].members), (other(1), 1, 3, 2));
}

#[test]
fn a_channel_that_two_nodes_have_counts_once() {
    let part = |members, names: &[u64]| RoomPart { room: "a".parse().unwrap(), members, channels: names.len() as u64, names: names.to_vec() };
    let rooms = merge::rooms([part(2, &[1, 2]), part(3, &[2, 3])]);
    assert_eq!((rooms.len(), rooms[0].channels, rooms[0].members), (1, 3, 5));
    let alone = |channels| RoomPart { room: "a".parse().unwrap(), members: 0, channels, names: Vec::new() };
    assert_eq!(merge::rooms([alone(2), alone(3)])[0].channels, 5, "shards of one node share no channel");
}

#[test]
fn a_broadcast_that_comes_twice_is_delivered_once() {
    let mut node = Node::knowing(&[other(1)]);
    let print = Some(Print::from(Fingerprint { key: u128::MAX - 5, content: 3 }));
    let news = News::Broadcast { room: None, body: serde_json::value::RawValue::from_string("1".into()).unwrap(), print };
    node.hears(other(1), &Said::Tell(news.clone()));
    node.hears(other(1), &Said::Tell(news));
    assert_eq!(node.peers.deliveries.iter().map(Vec::len).collect::<Vec<_>>(), [1, 1], "one to each shard");
}

#[test]
fn what_cannot_be_sent_fails_and_what_is_too_much_is_shed() {
    let mut node = Node::knowing(&[other(1)]);
    node.asks_for_rooms();
    node.peers.sent(node.peers.asked, false);
    assert_eq!(node.given(), [(0, true)], "Redis did not take it");
    node.said();
    for _ in 0..5 {
        node.asks_for_rooms();
    }
    node.peers.shed(3);
    assert_eq!((node.said().len(), node.given().len()), (3, 2));
    assert_eq!(node.peers.shared.metrics.node_letters_failed.value(), 2);
}

#[test]
fn letters_say_the_same_after_their_way_and_what_is_none_is_dropped() {
    let topic: Topic = "a:b".parse().unwrap();
    let member = arqonbus_protocol::Presence { client: ClientId::client(1), user: None, name: Some("é\"".into()), kind: None, members: 2 };
    let private = Private {
        whom: Whom::User("ada".parse().unwrap()),
        body: serde_json::value::RawValue::from_string("{\"a\":[1e2]}".into()).unwrap(),
        print: None,
    };
    for said in [
        Said::Hello,
        Said::Gone,
        Said::Ask(u64::MAX, Question::Deliver(Box::new(private))),
        Said::Ask(1, Question::Members(MembersArgs { room: topic.room, channel: topic.channel, after: None, limit: Some(3) })),
        Said::Ask(2, Question::Watch { topic, list: true }),
        Said::Ask(3, Question::Kick(Whom::Client(ClientId::client(1)))),
        Said::Answer(4, Answer::Watch(Some(MembersHere { count: 1, list: vec![member.clone()], groups: Vec::new(), opened_at: None }))),
        Said::Answer(5, Answer::Deliver(Delivered::Before)),
        Said::Tell(News::Presence { topic, joined: true, presence: member }),
        Said::Tell(News::Resumed(ClientId::client(1))),
    ] {
        let text = Letter::encode(&other(1), &[said.encode(), Said::Here.encode()]);
        let letter = Letter::decode(text.as_bytes()).expect("a letter");
        assert_eq!((letter.from, letter.said[0].encode(), letter.said.len()), (other(1), said.encode(), 2));
    }
    for junk in ["", "{}", "[]", "\u{feff}{}", r#"{"form":2,"from":"n_aaaaaaaa","said":[]}"#, r#"{"form":1,"from":"c_aaaaaaaa","said":[]}"#] {
        assert!(Letter::decode(junk.as_bytes()).is_none(), "{junk}");
    }
    // What this node says itself comes back to it, and means nothing.
    let mut node = Node::knowing(&[]);
    let me = node.peers.shared.node;
    node.hears(me, &Said::Hello);
    assert_eq!((node.peers.others(), node.said().len()), (0, 0));
}

#[test]
fn who_joins_a_pattern_for_its_past_waits_for_what_redis_holds() {
    let mut node = Node::knowing(&[]);
    let join = |node: &mut Node, replay: Option<u32>| {
        let asked = Asked { conn: ConnId { shard: 0, key: Key::NOBODY }, who: Arc::clone(&node.peers.who), request_id: id(), command: None };
        let args: JoinArgs = serde_json::from_value(serde_json::json!({"room": "a", "channel": "*", "replay": replay})).unwrap();
        node.peers.ask(Op::JoinPattern { asked, gather: 1, args: Box::new(args) });
        let lookups: Vec<u64> = std::mem::take(&mut node.peers.lookups).into_iter().map(|(number, _)| number).collect();
        (lookups, node.parts())
    };
    assert_eq!(join(&mut node, None), (vec![], vec!["0 lanes".to_owned()]));
    let (lookups, told) = join(&mut node, Some(1));
    assert_eq!((lookups.len(), told), (1, vec![]));
    node.peers.looked_up(lookups[0], Some(Held::Topics(vec!["a:b".parse().unwrap()])));
    assert_eq!(node.parts(), ["1 lanes"]);
    assert!(node.asked().iter().any(|op| matches!(op, Op::Peer(op) if matches!(&**op, PeerOp::Found { topic, .. } if topic.to_string() == "a:b"))));
    let (lookups, _) = join(&mut node, Some(1));
    node.peers.looked_up(lookups[0], None);
    assert_eq!(node.parts(), ["1 lanes", "refused storage_unavailable"], "what is not said to be there may be there");
}
