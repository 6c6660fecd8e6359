//! The rows about frames, and about text that is none.

use arqonbus_tests::harness::clock::{PATIENCE, within};
use arqonbus_tests::harness::frame::{BINARY, CLOSE, CONTINUATION, Frame, Length, PING, PONG, TEXT, header};
use arqonbus_tests::harness::{Reach, observe, socket::Socket};

use super::Arena;

const MIB: u64 = 1024 * 1024;

fn frames(frames: &[Frame]) -> Vec<u8> {
    frames.iter().flat_map(Frame::masked).collect()
}

fn close_with(code: u16) -> Vec<u8> {
    Frame::close(code, "").masked()
}

/// What is sent, and the code that the server closes with.
fn rows() -> Vec<(String, Vec<u8>, u16)> {
    let text = || Frame::text("{}");
    let ping = || Frame::new(PING, "");
    let mut rows: Vec<(String, Vec<u8>, u16)> = [
        ("unmasked text", text().unmasked(), 1002),
        ("unmasked ping", ping().unmasked(), 1002),
        ("a control frame of 126 bytes", Frame::new(PING, vec![0; 126]).masked(), 1002),
        ("a control frame in fragments", ping().unfinished().masked(), 1002),
        ("a close in fragments", Frame::close(1000, "").unfinished().masked(), 1002),
        ("a continuation of nothing", Frame::new(CONTINUATION, "x").masked(), 1002),
        ("an unfinished continuation of nothing", Frame::new(CONTINUATION, "x").unfinished().masked(), 1002),
        ("a text within a text", frames(&[text().unfinished(), text()]), 1002),
        ("a binary within a text", frames(&[text().unfinished(), Frame::new(BINARY, "x")]), 1002),
        ("a length of 5 in 16 bits", [header(0x81, Length::Medium, 5, true), b"xxxxx".to_vec()].concat(), 1002),
        ("a length of 5 in 64 bits", [header(0x81, Length::Long, 5, true), b"xxxxx".to_vec()].concat(), 1002),
        ("a length of 65535 in 64 bits", header(0x81, Length::Long, 65_535, true), 1002),
        ("a negative length", header(0x81, Length::Long, 1 << 63, true), 1002),
        ("a length of 2^63 - 1", header(0x81, Length::Long, (1 << 63) - 1, true), 1009),
        ("a length of 2^40, and no body", header(0x81, Length::Long, 1 << 40, true), 1009),
        ("a byte over the limit, and no body", header(0x81, Length::Long, MIB + 1, true), 1009),
        (
            "fragments over the limit",
            frames(&[Frame::new(TEXT, vec![b' '; 600_000]).unfinished(), Frame::new(CONTINUATION, vec![b' '; 600_000])]),
            1009,
        ),
        ("a binary frame", Frame::new(BINARY, "{}").masked(), 1003),
        ("an empty binary frame", Frame::new(BINARY, "").masked(), 1003),
        ("bytes that are no UTF-8", Frame::new(TEXT, [0xff, 0xfe]).masked(), 1007),
        ("an overlong encoding", Frame::new(TEXT, [0xc0, 0xaf]).masked(), 1007),
        ("a surrogate in UTF-8", Frame::new(TEXT, [0xed, 0xa0, 0x80]).masked(), 1007),
        ("beyond Unicode", Frame::new(TEXT, [0xf4, 0x90, 0x80, 0x80]).masked(), 1007),
        ("a cut character", Frame::new(TEXT, [0xe2, 0x82]).masked(), 1007),
        ("bad UTF-8 in the second fragment", frames(&[Frame::text("ok").unfinished(), Frame::new(CONTINUATION, [0xff])]), 1007),
        ("a close of one byte", Frame::new(CLOSE, [3]).masked(), 1002),
        ("a close reason that is no UTF-8", Frame::new(CLOSE, [0x03, 0xe8, 0xff]).masked(), 1007),
        ("a polite close", close_with(1000), 1000),
        ("an application's close", close_with(4999), 4999),
        ("a library's close", close_with(3000), 3000),
    ]
    .map(|(row, bytes, code)| (row.to_owned(), bytes, code))
    .into();
    for rsv in [1, 2, 4, 7] {
        rows.push((format!("reserved bits {rsv:03b}"), text().with_rsv(rsv).masked(), 1002));
        rows.push((format!("reserved bits {rsv:03b} on a ping"), ping().with_rsv(rsv).masked(), 1002));
    }
    for opcode in [3, 4, 5, 6, 7, 0xb, 0xc, 0xd, 0xe, 0xf] {
        rows.push((format!("opcode {opcode:#x}"), Frame::new(opcode, "").masked(), 1002));
    }
    for code in [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535] {
        rows.push((format!("close code {code}"), close_with(code), 1002));
    }
    rows
}

#[tokio::test]
async fn each_bad_frame_closes_with_its_code() {
    let mut arena = Arena::open("").await;
    for (row, bytes, code) in rows() {
        let mut socket = Socket::open(arena.address()).await;
        socket.write(&bytes).await;
        assert_eq!(socket.close_code().await, Some(code), "{row}");
        arena.probe(&row).await;
    }
    arena.close().await;
}

/// The same, in segments of one byte: where a frame is cut must not matter.
#[tokio::test]
async fn each_bad_frame_closes_with_its_code_also_byte_by_byte() {
    let mut arena = Arena::open("").await;
    for (row, bytes, code) in rows().into_iter().filter(|(_, bytes, _)| bytes.len() < 1_000) {
        let mut socket = Socket::open(arena.address()).await;
        socket.trickle(&bytes).await;
        assert_eq!(socket.close_code().await, Some(code), "{row}");
    }
    arena.probe("byte by byte").await;
    arena.close().await;
}

#[tokio::test]
async fn good_frames_in_odd_shapes_are_understood() {
    let mut arena = Arena::open("").await;
    let ping = r#"{"type":"command","id":"p","command":"ping"}"#;
    let (head, tail) = ping.split_at(17);
    let first = || Frame::text(head).unfinished();
    let last = || Frame::new(CONTINUATION, tail);
    let pieces: Vec<_> = ping.bytes().map(|byte| Frame::new(CONTINUATION, [byte]).unfinished()).collect();
    for (row, bytes) in [
        ("whole", Frame::text(ping).masked()),
        ("two fragments", frames(&[first(), last()])),
        ("a ping between fragments", frames(&[first(), Frame::new(PING, "x"), last()])),
        ("a pong that nobody asked for", frames(&[Frame::new(PONG, "x"), Frame::text(ping)])),
        ("an empty last fragment", frames(&[Frame::text(ping).unfinished(), Frame::new(CONTINUATION, "")])),
        ("an empty first fragment", frames(&[Frame::text("").unfinished(), Frame::new(CONTINUATION, ping)])),
        ("a byte a fragment", [frames(&[Frame::text("").unfinished()]), frames(&pieces), frames(&[Frame::new(CONTINUATION, "")])].concat()),
    ] {
        let mut socket = Socket::open(arena.address()).await;
        socket.write(&bytes).await;
        let answer = within(PATIENCE, row, async {
            loop {
                let frame = socket.read().await.expect("an answer");
                if frame.opcode == TEXT && String::from_utf8_lossy(&frame.payload).contains("response") {
                    return String::from_utf8(frame.payload).unwrap();
                }
            }
        })
        .await;
        assert!(answer.contains(r#""request_id":"p","status":"ok""#), "{row}: {answer}");
    }
    arena.probe("odd shapes").await;
    arena.close().await;
}

/// Fragments without end and without content cost nothing but are still bounded.
#[tokio::test]
async fn endless_tiny_fragments_are_closed() {
    let mut arena = Arena::open("").await;
    for (row, piece) in [("empty", ""), ("of one byte", " ")] {
        let mut socket = Socket::open(arena.address()).await;
        socket.send(&Frame::text("").unfinished()).await;
        let burst = Frame::new(CONTINUATION, piece).unfinished().masked().repeat(10_000);
        for _ in 0..200 {
            socket.write(&burst).await;
        }
        let code = socket.close_code().await;
        // Closed while its bytes are still coming, the code may be lost in a TCP reset.
        assert!(matches!(code, None | Some(1002 | 1008 | 1009 | 4000 | 4101)), "{row}: {code:?}");
        arena.probe(row).await;
    }
    arena.close().await;
}

/// Whoever pings without reading the pongs is a slow reader.
#[tokio::test]
async fn a_flood_of_pings_is_bounded_and_then_closed() {
    let mut arena = Arena::open("").await;
    let before = observe::resident_bytes(arena.process.pid());
    let mut socket = Socket::open_narrow(arena.address()).await;
    let burst = Frame::new(PING, [0; 125]).masked().repeat(1_000);
    let flood = async {
        for _ in 0..400 {
            socket.write(&burst).await;
        }
    };
    // The server may as well stop reading while its pongs are not taken.
    let _ = tokio::time::timeout(std::time::Duration::from_secs(3), flood).await;
    let grown = observe::resident_bytes(arena.process.pid()).saturating_sub(before);
    assert!(grown < 64 * MIB, "{grown} bytes for pongs");
    arena.probe("pings").await;
    socket.reset();
    arena.close().await;
}

#[tokio::test]
async fn connections_cut_in_the_middle_of_anything_leave_nothing_behind() {
    let mut arena = Arena::open("").await;
    let message = Frame::text(r#"{"type":"message","room":"a","channel":"b","payload":1}"#).masked();
    for cut in 0..message.len() {
        let mut socket = Socket::open(arena.address()).await;
        socket.write(&message[..cut]).await;
        if cut % 2 == 0 {
            socket.reset();
        } else {
            socket.finish().await;
            socket.ended().await;
        }
    }
    arena.probe("cuts").await;
    arena.close().await;
}
