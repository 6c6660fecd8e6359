use super::*;
use crate::{ErrorCode, RawJson};

#[test]
fn a_message_goes_to_a_topic_with_its_payload_untouched() {
    let text =
        r#"{"type":"message","id":"m1","room":"a","channel":"b","payload": {"x": 1.0 ,"é":"\u00e9"} ,"headers":{"t":"1"},"ack":true,"later":[1]}"#;
    let ClientEnvelope::Message(publish) = ClientEnvelope::decode(text).unwrap() else { panic!("a message") };
    assert_eq!(publish.payload.as_str(), r#"{"x": 1.0 ,"é":"\u00e9"}"#);
    assert_eq!(publish.target, Target::Topic("a:b".parse().unwrap()));
    assert!(publish.ack && !publish.request);
    let again = publish.encode();
    assert_eq!(ClientEnvelope::decode(&again).unwrap(), ClientEnvelope::Message(publish));
}

#[test]
fn refusals_carry_code_place_and_id() {
    let refused = |text: &str| {
        let malformed = ClientEnvelope::decode(text).expect_err(text);
        (malformed.refusal.code, malformed.refusal.at.clone().unwrap_or_default().into_owned(), malformed.id.map(|id| id.to_string()))
    };
    assert_eq!(refused("[1]"), (ErrorCode::InvalidEnvelope, String::new(), None));
    assert_eq!(
        refused(r#"{"type":"message","id":"a","room":"..","channel":"b","payload":1}"#),
        (ErrorCode::InvalidName, "/room".into(), Some("a".into()))
    );
    assert_eq!(
        refused(r#"{"type":"message","id":"a","seq":1,"room":"r","channel":"b","payload":1}"#),
        (ErrorCode::InvalidEnvelope, "/seq".into(), Some("a".into()))
    );
    assert_eq!(
        refused(r#"{"type":"command","id":"a","command":"join_channel","args":{"room":"a b","channel":"c"}}"#),
        (ErrorCode::InvalidName, "/args/room".into(), Some("a".into()))
    );
    assert_eq!(
        refused(r#"{"type":"command","id":"a","command":"join_channel","args":{"room":1,"channel":"c"}}"#),
        (ErrorCode::InvalidArgs, "/args/room".into(), Some("a".into()))
    );
    assert_eq!(refused(r#"{"type":"command","command":"dance"}"#), (ErrorCode::UnknownCommand, "/command".into(), None));
    assert_eq!(refused(r#"{"type":"wave"}"#), (ErrorCode::UnknownType, "/type".into(), None));
    assert_eq!(refused(r#"{"id":"a","payload":{"x":[1e999]}}"#), (ErrorCode::InvalidJson, "/payload/x/0".into(), Some("a".into())));
    assert_eq!(refused("{\"type\":\"message\",\"room\":\"a\",\"channel\":\"b\",\"payload\":[1,\n2]}").1, "/payload");
}

#[test]
fn a_delivery_round_trips() {
    let delivery = Delivery {
        head: DeliveryHead {
            id: "m1".parse().unwrap(),
            target: Target::Topic("a:b".parse().unwrap()),
            sender: ClientId::client(7),
            user: Some("ada".parse().unwrap()),
            timestamp: crate::Timestamp::from_unix_ms(1_795_366_140_007),
            position: Some(crate::Position { epoch: "k3".parse().unwrap(), seq: crate::SEQ_MAX }),
            reply_to: Some(ClientId::client(7)),
            correlation_id: None,
            exclude_sender: true,
        },
        headers: Some(RawJson::from_encoder(r#"{"a":"b"}"#)),
        payload: RawJson::from_encoder(r#"{"text":"hi"}"#),
        job: None,
    };
    let mut out = Vec::new();
    delivery.encode_into(&mut out);
    assert_eq!(ServerEnvelope::decode(std::str::from_utf8(&out).unwrap()).unwrap(), ServerEnvelope::Message(delivery));
    let job = JobHead { group: "workers".parse().unwrap(), delivery: 3 };
    let spliced = job.splice(&out);
    let mut encoded = Vec::new();
    Delivery { job: Some(job), ..delivery }.encode_into(&mut encoded);
    assert_eq!(String::from_utf8(spliced), String::from_utf8(encoded), "a job is made of any delivered message");
}

#[test]
fn an_unknown_error_code_keeps_its_advice() {
    let text =
        r#"{"type":"response","request_id":"a","status":"error","error":{"code":"new_thing","message":"m","retry":"after","retry_after_ms":5}}"#;
    let ServerEnvelope::Response(response) = ServerEnvelope::decode(text).unwrap() else { panic!("a response") };
    let refusal = response.outcome.unwrap_err();
    assert_eq!((refusal.code, refusal.retry, refusal.retry_after_ms), (ErrorCode::Internal, crate::Retry::After, Some(5)));
    assert_eq!(refusal.message, "new_thing: m");
}

#[test]
fn a_position_can_be_put_in_later() {
    let position = crate::Position { epoch: "k3".parse().unwrap(), seq: 10 };
    let mut delivery = Delivery {
        head: DeliveryHead {
            id: "m1".parse().unwrap(),
            target: Target::Topic("a:b".parse().unwrap()),
            sender: ClientId::client(7),
            user: None,
            timestamp: crate::Timestamp::from_unix_ms(0),
            position: None,
            reply_to: None,
            correlation_id: None,
            exclude_sender: false,
        },
        headers: None,
        payload: RawJson::NULL,
        job: None,
    };
    let (mut early, mut late, mut place) = (Vec::new(), Vec::new(), Vec::new());
    let hole = delivery.encode_into(&mut early);
    position.encode_into(&mut place);
    early.splice(hole..hole, place);
    delivery.head.position = Some(position);
    delivery.encode_into(&mut late);
    assert_eq!(String::from_utf8(early), String::from_utf8(late));
}

#[test]
fn an_ack_is_written_as_any_other_answer() {
    let position = crate::Position { epoch: "k3v9x2".parse().unwrap(), seq: 1_234_567 };
    for position in [None, Some(position)] {
        for (durability, duplicate) in [(crate::Durability::None, false), (crate::Durability::Memory, true)] {
            let result = crate::PublishResult { position, durability, duplicate };
            let id = "arq_01JD0000000000000000000000".parse().unwrap();
            let mut acked = Vec::new();
            encode_acked_into(&mut acked, &id, &result);
            assert_eq!(acked, encode_ok(&id, &result));
        }
    }
}
