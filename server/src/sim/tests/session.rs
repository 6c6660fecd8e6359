//! One connection's conversation: malformed input, batches, drain, and bytes in any slices.

use serde_json::json;

use super::*;

#[test]
fn three_malformed_envelopes_in_a_row_close_and_a_good_one_between_forgives() {
    let mut bus = bus();
    let mut peer = Peer::open(&mut bus, 0);
    let good = r#"{"type":"command","command":"ping"}"#;
    for text in ["nonsense", "[]", good, "{", r#"{"type":"x"}"#, good] {
        peer.say_text(&mut bus, text);
    }
    let words = brief_any(&peer.hear(&mut bus));
    assert_eq!(words, ["invalid_json", "invalid_envelope", "ok", "invalid_json", "unknown_type", "ok"]);
    for text in ["nonsense", "[]", "{", good] {
        peer.say_text(&mut bus, text);
    }
    assert_eq!(brief_any(&peer.hear(&mut bus)), ["invalid_json", "invalid_envelope", "invalid_json"]);
    assert_eq!(peer.closed, Some(4000));
}

fn brief_any(heard: &[Value]) -> Vec<String> {
    heard
        .iter()
        .map(|heard| {
            if heard["type"] == "error" { heard["error"]["code"].as_str().unwrap().to_owned() } else { brief(std::slice::from_ref(heard)).remove(0) }
        })
        .collect()
}

#[test]
fn a_batch_is_taken_line_by_line_and_given_as_one() {
    let mut bus = bus();
    let topic = topic_on(&bus, 1);
    let mut peer = Peer::open(&mut bus, 0);
    assert_eq!(peer.ask(&mut bus, "connect", &json!({ "batch": true }))["batch"], true);
    let ping = r#"{"type":"command","command":"ping"}"#;
    peer.say_text(&mut bus, &format!("{ping}\n\n{ping}\n"));
    bus.settle();
    let mut reader = crate::sim::Reader::default();
    reader.feed(&bus.take(peer.link));
    let Some(crate::sim::Frame::Text(text)) = reader.next_frame() else { panic!("a text frame") };
    assert_eq!((text.lines().count(), reader.next_frame()), (2, None), "{text}");
    peer.say_text(&mut bus, "\n \n");
    assert_eq!(brief_any(&peer.hear(&mut bus)), ["invalid_json"]);
    peer.ask(&mut bus, "join_channel", &join(&topic));
    publish(&mut bus, &topic, 5);
    assert_eq!(seqs(&peer.hear(&mut bus)), [1, 2, 3, 4, 5]);
}

#[test]
fn a_frame_in_slices_of_any_size_is_one_frame() {
    for size in [1, 2, 3, 7, 50] {
        let mut bus = bus();
        let mut peer = Peer::open(&mut bus, 0);
        let bytes: Vec<u8> = (0..3).flat_map(|_| crate::sim::text(r#"{"type":"command","command":"ping"}"#)).collect();
        for slice in bytes.chunks(size) {
            bus.send(peer.link, slice);
            bus.run();
        }
        assert_eq!(brief(&peer.hear(&mut bus)), ["ok", "ok", "ok"], "slices of {size}");
    }
}

#[test]
fn a_draining_server_refuses_new_work_answers_what_it_owes_and_closes() {
    let mut bus = bus();
    let topic = topic_on(&bus, 1);
    let mut peer = Peer::open(&mut bus, 0);
    peer.ask(&mut bus, "join_channel", &join(&topic));
    bus.stick(&topic);
    peer.publish(&mut bus, &topic.to_string(), "before");
    bus.settle();
    bus.drain();
    let heard = peer.hear(&mut bus);
    assert_eq!(brief(&heard), ["welcome"]);
    assert!(heard[0]["data"]["draining"]["reconnect_after_ms"].is_u64());
    peer.publish(&mut bus, &topic.to_string(), "after");
    assert_eq!(peer.ask(&mut bus, "create_channel", &join(&topic)), "draining");
    bus.unstick(&topic);
    assert_eq!(brief(&peer.hear(&mut bus)).len(), 2, "the ack and the message");
    assert_eq!(peer.ask(&mut bus, "history", &join(&topic))["messages"].as_array().unwrap().len(), 1);
    bus.close_all();
    peer.hear(&mut bus);
    assert_eq!(peer.closed, Some(1012));
}
