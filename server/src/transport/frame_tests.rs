//! Frames, byte by byte.

use super::*;

/// A client's frame.
fn client_frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    match payload.len() {
        length @ 0..=125 => out.push(0x80 | length as u8),
        length @ 126..=0xFFFF => {
            out.push(0x80 | 126);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            out.push(0x80 | 127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    let mask = [1, 2, 3, 4];
    out.extend_from_slice(&mask);
    out.extend(payload.iter().enumerate().map(|(at, byte)| byte ^ mask[at % 4]));
    out
}

/// Feeds `bytes` in slices of `step` and describes what came out.
fn decode(bytes: &[u8], step: usize) -> (Vec<String>, Option<CloseCode>) {
    let (mut decoder, mut seen) = (Decoder::default(), Vec::new());
    for chunk in bytes.chunks(step) {
        let fed = decoder.feed(&mut chunk.to_vec(), 100_000, |incoming| {
            seen.push(match incoming {
                Incoming::Text(text) => format!("text {text}"),
                Incoming::Binary(bytes) => format!("binary {}", bytes.len()),
                Incoming::Ping(bytes) => format!("ping {}", bytes.len()),
                Incoming::Pong => "pong".into(),
                Incoming::Close(code) => format!("close {code}"),
            });
            true
        });
        if let Err(code) = fed {
            return (seen, Some(code));
        }
    }
    (seen, None)
}

#[test]
fn nothing_is_decoded_after_the_receiver_has_had_enough() {
    let bytes = [client_frame(0x81, b"one"), client_frame(0x81, b"two")].concat();
    for step in [1, 4, 11, bytes.len()] {
        let (mut decoder, mut seen, mut goes_on) = (Decoder::default(), 0, true);
        for chunk in bytes.chunks(step) {
            if !goes_on {
                break;
            }
            let fed = decoder.feed(&mut chunk.to_vec(), 100, |_| {
                seen += 1;
                goes_on = false;
                false
            });
            assert_eq!(fed, Ok(()));
        }
        assert_eq!(seen, 1, "in steps of {step}");
    }
}

#[test]
fn messages_come_out_whole_however_the_bytes_arrive() {
    let long = "x".repeat(70_000);
    let mut bytes = client_frame(0x81, b"hello");
    bytes.extend(client_frame(0x01, b"he"));
    bytes.extend(client_frame(0x89, b"p"));
    bytes.extend(client_frame(0x00, b"l"));
    bytes.extend(client_frame(0x80, "lö".as_bytes()));
    bytes.extend(client_frame(0x81, long.as_bytes()));
    bytes.extend(client_frame(0x88, &1001_u16.to_be_bytes()));
    let expected: Vec<String> = vec!["text hello".into(), "ping 1".into(), "text hellö".into(), format!("text {long}"), "close 1001".into()];
    for step in [1, 2, 3, 7, 64, 4096, bytes.len()] {
        assert_eq!(decode(&bytes, step), (expected.clone(), None), "in steps of {step}");
    }
}

#[test]
fn violations_are_refused_with_their_code() {
    let mut unmasked = client_frame(0x81, b"a");
    unmasked[1] &= 0x7F;
    let long_form = [0x81, 0x80 | 126, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let huge = [0x81, 0x80 | 127, 0x7F, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let negative = [0x81, 0x80 | 127, 0xFF, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let cases: [(&str, Vec<u8>, CloseCode); 14] = [
        ("not masked", unmasked, CloseCode::Protocol),
        ("reserved bit", client_frame(0xC1, b"a"), CloseCode::Protocol),
        ("reserved opcode", client_frame(0x83, b"a"), CloseCode::Protocol),
        ("length not minimal", long_form.to_vec(), CloseCode::Protocol),
        ("length over the limit", huge.to_vec(), CloseCode::TooLarge),
        ("negative length", negative.to_vec(), CloseCode::Protocol),
        ("not UTF-8", client_frame(0x81, &[0xFF]), CloseCode::InvalidText),
        ("fragmented ping", client_frame(0x09, b""), CloseCode::Protocol),
        ("long ping", client_frame(0x89, &[0; 126]), CloseCode::Protocol),
        ("continuation of nothing", client_frame(0x80, b"a"), CloseCode::Protocol),
        ("text within fragments", [client_frame(0x01, b"a"), client_frame(0x81, b"b")].concat(), CloseCode::Protocol),
        ("close of one byte", client_frame(0x88, b"a"), CloseCode::Protocol),
        ("close code 1005", client_frame(0x88, &1005_u16.to_be_bytes()), CloseCode::Protocol),
        ("close reason not UTF-8", client_frame(0x88, &[0x03, 0xE8, 0xFF]), CloseCode::InvalidText),
    ];
    for (name, bytes, code) in cases {
        assert_eq!(decode(&bytes, bytes.len()).1, Some(code), "{name}");
        assert_eq!(decode(&bytes, 1).1, Some(code), "{name}, byte by byte");
    }
    let fragments: Vec<u8> = std::iter::once(client_frame(0x01, &[b'a'; 60_000])).chain([client_frame(0x00, &[b'a'; 60_000])]).flatten().collect();
    assert_eq!(decode(&fragments, fragments.len()).1, Some(CloseCode::TooLarge), "fragments over the limit");
}

#[test]
fn a_large_message_leaves_no_buffer_behind() {
    let mut decoder = Decoder::default();
    for chunk in client_frame(0x81, &[b'x'; 90_000]).chunks_mut(1_000) {
        decoder.feed(chunk, 100_000, |_| true).unwrap();
    }
    assert!(decoder.held_bytes() <= KEEP_BUFFER_BYTES, "{} bytes", decoder.held_bytes());
}

#[test]
fn our_frames_have_the_shortest_header() {
    for (payload, header) in [(0, 2), (125, 2), (126, 4), (0xFFFF, 4), (0x1_0000, 10)] {
        assert_eq!(frame(Opcode::Text, &vec![0; payload]).len(), header + payload);
    }
    assert_eq!(close_frame(4100, "slow"), [&[0x88, 6, 0x10, 0x04][..], b"slow"].concat());
}
