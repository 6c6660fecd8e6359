//! Every vector of `tests/vectors/` through the codec and against the JSON Schema.

mod describe;
mod load;

use arqonbus_protocol::{ClientEnvelope, ServerEnvelope, schema};
use load::{Direction, Frame, Refusal};
use serde_json::Value;

#[test]
fn the_index_states_what_is_there() {
    load::assert_index();
}

#[test]
fn every_frame_decodes_to_its_description() {
    let frames = load::frames();
    for frame in &frames {
        let described: Vec<_> = frame.texts().into_iter().map(|text| describe::description(frame, text)).collect();
        assert_eq!(described, frame.decoded, "{}: {}", frame.file, frame.name);
    }
    assert_eq!(frames.len(), load::count("frames"));
    assert!(frames.len() >= 60, "spec 001, SC-001");
}

#[test]
fn every_frame_encodes_to_its_canonical_text_and_back() {
    let mut ran = 0;
    for frame in load::frames() {
        let Some(encoded) = &frame.encoded else { continue };
        assert_eq!(&describe::encoded(&frame, &frame.text), encoded, "{}: {}", frame.file, frame.name);
        assert_eq!(vec![describe::description(&frame, encoded)], frame.decoded, "{}: {}", frame.file, frame.name);
        ran += 1;
    }
    assert!(ran >= 60, "{ran}");
}

#[test]
fn every_refusal_has_its_code_place_and_id() {
    let refusals = load::refusals();
    for refusal in &refusals {
        let Err(malformed) = ClientEnvelope::decode(&refusal.text) else { panic!("{}: {} was decoded", refusal.file, refusal.name) };
        let found = (malformed.refusal.code.as_str(), malformed.refusal.at.as_deref().unwrap_or_default(), malformed.id.map(|id| id.to_string()));
        assert_eq!(found, (refusal.code.as_str(), refusal.at.as_str(), refusal.id.clone()), "{}: {}", refusal.file, refusal.name);
        assert!(malformed.refusal.message.len() < 200, "an echo is short: {}", refusal.name);
        assert!(!malformed.refusal.message.contains(char::is_control), "an echo is escaped: {}", refusal.name);
    }
    assert_eq!(refusals.len(), load::count("refusals"));
    assert!(refusals.len() >= 60, "spec 001, SC-001");
}

#[test]
fn every_code_that_decoding_can_give_has_a_refusal() {
    let codes: std::collections::BTreeSet<_> = load::refusals().into_iter().map(|refusal| refusal.code).collect();
    let wanted = ["invalid_args", "invalid_envelope", "invalid_json", "invalid_name", "too_deep", "too_large", "unknown_command", "unknown_type"];
    assert_eq!(codes.into_iter().collect::<Vec<_>>(), wanted);
}

#[test]
fn the_schema_is_a_schema() {
    let schema = schema::json_schema();
    assert!(jsonschema::meta::is_valid(&schema));
}

/// A validator of one direction of the schema, or of both.
fn validator(definition: Option<&str>) -> jsonschema::Validator {
    let mut schema = schema::json_schema();
    if let Some(definition) = definition {
        schema["oneOf"] = serde_json::json!([{ "$ref": format!("#/$defs/{definition}") }]);
    }
    jsonschema::draft202012::new(&schema).expect("the schema compiles")
}

#[test]
fn the_schema_takes_every_frame() {
    let (client, server, both) = (validator(Some("ClientEnvelope")), validator(Some("ServerEnvelope")), validator(None));
    for frame in load::frames() {
        let own = if frame.direction == Direction::Client { &client } else { &server };
        for text in frame.texts() {
            assert_valid(own, &frame, text);
            assert_valid(&both, &frame, text);
        }
        if let Some(encoded) = &frame.encoded {
            assert_valid(own, &frame, encoded);
        }
    }
}

fn assert_valid(validator: &jsonschema::Validator, frame: &Frame, text: &str) {
    let value: Value = serde_json::from_str(text).expect("a frame is JSON");
    let faults: Vec<_> = validator.iter_errors(&value).map(|error| error.to_string()).collect();
    assert!(faults.is_empty(), "{}: {}: {faults:?}", frame.file, frame.name);
}

/// What no server sends: the codec of a client and the schema refuse it alike.
#[test]
fn no_client_takes_these_server_envelopes() {
    const HEAD: &str = r#""type":"message","id":"m1","sender":"c_00000000","timestamp":"2026-11-22T16:49:00Z","payload":1"#;
    let server = validator(Some("ServerEnvelope"));
    let broken = [
        (format!(r#"{{{HEAD}}}"#), ""),
        (format!(r#"{{{HEAD},"room":"a","channel":"b","epoch":"k"}}"#), "/seq"),
        (format!(r#"{{{HEAD},"room":"a","channel":"b","seq":1}}"#), "/epoch"),
        (format!(r#"{{{HEAD},"room":"a","channel":"b","epoch":"k","seq":9007199254740992}}"#), "/seq"),
        (format!(r#"{{{HEAD},"room":"a","channel":"b","to":"*"}}"#), "/to"),
        (r#"{"type":"message","room":"a","channel":"b","payload":1}"#.to_owned(), "/id"),
        (r#"{"type":"command","command":"ping"}"#.to_owned(), "/type"),
        (r#"{"type":"response","status":"ok"}"#.to_owned(), "/request_id"),
        (r#"{"type":"response","request_id":"m1","status":"fine"}"#.to_owned(), "/status"),
        (r#"{"type":"response","request_id":"m1","status":"ok","result":[1]}"#.to_owned(), "/result"),
        (r#"{"type":"response","request_id":"m1","status":"error"}"#.to_owned(), "/error"),
        (r#"{"type":"response","request_id":"m1","status":"error","error":["forbidden","no","never"]}"#.to_owned(), "/error"),
        (r#"{"type":"response","request_id":"m1","status":"error","error":{"code":"x","message":"m","retry":"soon"}}"#.to_owned(), "/error/retry"),
        (r#"{"type":"event","timestamp":"2026-11-22T16:49:00Z","data":{}}"#.to_owned(), "/event"),
        (r#"{"type":"event","event":"new","timestamp":"2026-11-22T16:49:00Z","data":[]}"#.to_owned(), "/data"),
        (r#"{"type":"error","timestamp":"2026-11-22T16:49:00Z"}"#.to_owned(), "/error"),
    ];
    for (text, at) in &broken {
        let Err(malformed) = ServerEnvelope::decode(text) else { panic!("{text} was decoded") };
        assert_eq!(malformed.refusal.at.as_deref(), Some(*at), "{text}");
        assert!(!server.is_valid(&serde_json::from_str(text).expect("JSON")), "{text}");
    }
}

#[test]
fn the_schema_types_every_result() {
    for frame in load::frames() {
        let Some(of) = &frame.result_of else { continue };
        let validator = validator(Some(&describe::result_type(of)));
        let envelope: Value = serde_json::from_str(&frame.text).expect("a frame is JSON");
        let result = envelope.get("result").cloned().unwrap_or_else(|| serde_json::json!({}));
        assert!(validator.is_valid(&result), "{}", frame.name);
        assert!(!validator.is_valid(&serde_json::json!([])), "a type of results takes no array");
    }
}

/// Both ways: what the schema can refuse it refuses, and what is marked as beyond it is indeed beyond it.
#[test]
fn the_schema_refuses_every_refusal_that_it_can() {
    let client = validator(Some("ClientEnvelope"));
    let (mut refused, mut beyond) = (0, 0);
    for Refusal { file, name, text, schema_valid, .. } in load::refusals() {
        // What this parser refuses (a lone surrogate) another may read, so only what it takes is put to the schema.
        let Ok(value) = serde_json::from_str::<Value>(&text) else { continue };
        assert_eq!(client.is_valid(&value), schema_valid, "{file}: {name}");
        *(if schema_valid { &mut beyond } else { &mut refused }) += 1;
    }
    assert!(refused >= 60 && beyond >= 10, "{refused} {beyond}");
}
