//! Properties of the codec on generated input: no panic, no leniency, places that exist, and encode ∘ decode is identity.

mod generate;
mod place;

use std::sync::LazyLock;

use arqonbus_protocol::{ClientEnvelope, ErrorCode, Malformed, ServerEnvelope, json, schema};
use proptest::prelude::*;
use serde_json::Value;

/// What must hold for any text whatsoever.
fn holds_for_any_text(text: &str) -> Result<(), TestCaseError> {
    let (client, server) = (ClientEnvelope::decode(text), ServerEnvelope::decode(text));
    let is_object = serde_json::from_str::<Value>(text).is_ok_and(|value| value.is_object());
    prop_assert!(is_object || (client.is_err() && server.is_err()), "more permissive than serde_json: {text:?}");
    for malformed in [client.err(), server.err()].into_iter().flatten() {
        prop_assert!(malformed.refusal.message.len() < 300, "an echo is short: {malformed}");
        prop_assert!(points_into(text, &malformed), "{:?} in {text:?}: {malformed}", malformed.refusal.at);
    }
    Ok(())
}

/// A program that checks its envelopes against the schema never refuses what the other side would have taken.
fn the_schema_agrees(text: &str) -> Result<(), TestCaseError> {
    static SCHEMA: LazyLock<jsonschema::Validator> =
        LazyLock::new(|| jsonschema::draft202012::new(&schema::json_schema()).expect("the schema compiles"));
    let server = match ServerEnvelope::decode(text) {
        // The data of an event is read apart, and a client does not insist on the topic of a known one.
        Ok(ServerEnvelope::Event(_)) | Err(_) => false,
        Ok(ServerEnvelope::Message(_) | ServerEnvelope::Response(_) | ServerEnvelope::Error(_)) => true,
    };
    if server || ClientEnvelope::decode(text).is_ok() {
        let value: Value = serde_json::from_str(text).expect("never more permissive than serde_json");
        prop_assert!(SCHEMA.is_valid(&value), "the schema is stricter: {text}");
    }
    Ok(())
}

/// Whether the place of a refusal is there, or is the member whose absence is the complaint.
fn points_into(text: &str, malformed: &Malformed) -> bool {
    let Some(at) = malformed.refusal.at.as_deref() else { return false };
    let message = malformed.refusal.message.as_ref();
    let no_args = at == "/args" && malformed.refusal.code == ErrorCode::InvalidArgs;
    let absent = no_args || message.ends_with(" is missing") || message.contains(" needs its ");
    // A text that is not JSON has no tree to point into.
    let Some(tree) = place::Tree::read(text) else { return at.is_empty() || at.starts_with('/') };
    tree.has(at) || (absent && at.rmatch_indices('/').next().is_some_and(|(end, _)| tree.has(&at[..end])))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_decoded_or_refused(text in ".{0,300}") {
        holds_for_any_text(&text)?;
    }

    #[test]
    fn any_bytes_that_are_taken_for_text_are_decoded_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        holds_for_any_text(&String::from_utf8_lossy(&bytes))?;
    }

    #[test]
    fn any_soup_of_json_tokens_is_decoded_or_refused(text in generate::token_soup()) {
        holds_for_any_text(&text)?;
    }

    #[test]
    fn any_object_of_known_members_is_decoded_or_refused(text in generate::odd_envelope()) {
        holds_for_any_text(&text)?;
    }

    #[test]
    fn any_change_of_a_frame_is_decoded_or_refused(text in generate::changed_frame()) {
        holds_for_any_text(&text)?;
    }

    #[test]
    fn the_schema_takes_what_the_codec_takes(text in prop_oneof![generate::odd_envelope(), generate::changed_frame()]) {
        the_schema_agrees(&text)?;
    }

    #[test]
    fn a_message_comes_back_as_it_was(publish in generate::publish()) {
        let publish = publish.as_publish();
        let text = publish.encode();
        prop_assert_eq!(ClientEnvelope::decode(&text).map_err(|malformed| malformed.to_string()), Ok(ClientEnvelope::Message(publish)));
    }

    #[test]
    fn a_command_comes_back_as_it_was(request in generate::request()) {
        let text = request.encode();
        prop_assert_eq!(ClientEnvelope::decode(&text).map_err(|malformed| malformed.to_string()), Ok(ClientEnvelope::Command(request)));
    }

    #[test]
    fn a_delivery_comes_back_as_it_was(delivery in generate::delivery()) {
        let delivery = delivery.as_delivery();
        let mut out = Vec::new();
        delivery.encode_into(&mut out);
        let text = String::from_utf8(out).expect("an envelope is UTF-8");
        prop_assert!(!text.contains('\n'), "an envelope is one line");
        prop_assert_eq!(ServerEnvelope::decode(&text).map_err(|malformed| malformed.to_string()), Ok(ServerEnvelope::Message(delivery)));
    }

    #[test]
    fn a_check_agrees_with_serde_json_on_what_it_takes(text in generate::token_soup()) {
        if json::check(&text, 32).is_ok() {
            prop_assert!(serde_json::from_str::<Value>(&text).is_ok(), "{}", text);
        }
    }
}

/// The generators make what they are for: a good part of the changed frames is still read, and a good part is not.
#[test]
fn the_changed_frames_are_neither_all_good_nor_all_bad() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let strategy = generate::changed_frame();
    let mut good = 0;
    for _ in 0..400 {
        let text = strategy.new_tree(&mut runner).expect("the strategy makes values").current();
        good += usize::from(ClientEnvelope::decode(&text).is_ok() || ServerEnvelope::decode(&text).is_ok());
    }
    assert!((40..360).contains(&good), "{good} of 400");
}
