//! The harness is tested where a fault in it would make other tests pass.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::Reach;
use super::chaos::{Chaos, Cut, Dice, Fate, Plan};
use super::frame::{BINARY, Frame, TEXT};
use super::http::Answer;

/// A server that sends back what it gets.
async fn echo() -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut read, mut write) = stream.split();
                let _ = tokio::io::copy(&mut read, &mut write).await;
            });
        }
    });
    address
}

/// Sends bytes through a proxy with this plan; gives what came back, and whether the end was orderly.
async fn through(plan: Plan, sent: &[u8]) -> (Vec<u8>, bool) {
    let chaos = Chaos::before(echo().await, 1, move |_, _| plan).await;
    let mut stream = TcpStream::connect(chaos.address()).await.unwrap();
    stream.write_all(sent).await.unwrap();
    let _ = stream.shutdown().await;
    let mut received = Vec::new();
    let orderly = stream.read_to_end(&mut received).await.is_ok();
    (received, orderly)
}

#[tokio::test]
async fn a_proxy_without_a_plan_carries_everything() {
    let sent: Vec<u8> = (0..100_000_u32).map(|number| number as u8).collect();
    let slow = Fate { delay_ms: 1, slice: 10_000, cut: None };
    for plan in [Plan::default(), Plan { up: slow, down: slow }] {
        assert_eq!(through(plan, &sent).await, (sent.clone(), true));
    }
}

#[tokio::test]
async fn a_stream_is_cut_at_its_byte() {
    for at in [1, 10, 99] {
        let down = |cut| Plan { down: Fate { cut: Some((at, cut)), ..Fate::default() }, ..Plan::default() };
        let (received, orderly) = through(down(Cut::HalfClose), &[7; 100]).await;
        assert_eq!((received.len() as u64, orderly), (at, true));
        let (received, orderly) = through(down(Cut::Reset), &[7; 100]).await;
        assert!(received.len() as u64 <= at && !orderly, "{at}: {} bytes", received.len());
        let (received, _) = through(down(Cut::BlackHole), &[7; 100]).await;
        assert_eq!(received.len() as u64, at);
    }
}

#[tokio::test]
async fn a_flap_resets_what_is_open_and_lets_new_connections_in() {
    let chaos = Chaos::before(echo().await, 1, |_, _| Plan::default()).await;
    let mut before = TcpStream::connect(chaos.address()).await.unwrap();
    before.write_all(b"x").await.unwrap();
    let mut byte = [0];
    before.read_exact(&mut byte).await.unwrap();
    chaos.flap();
    assert!(before.read_exact(&mut byte).await.is_err());
    let mut after = TcpStream::connect(chaos.address()).await.unwrap();
    after.write_all(b"x").await.unwrap();
    after.read_exact(&mut byte).await.unwrap();
    assert_eq!(chaos.connections(), 2);
}

#[test]
fn dice_of_one_seed_fall_alike() {
    let (mut one, mut other, mut third) = (Dice::new(5), Dice::new(5), Dice::new(6));
    let throw = |dice: &mut Dice| [0; 20].map(|_| dice.below(1_000));
    let first = throw(&mut one);
    assert_eq!(first, throw(&mut other));
    assert_ne!(first, throw(&mut third));
}

#[test]
fn frames_of_every_length_are_read_as_they_were_written() {
    for length in [0, 1, 125, 126, 127, 65_535, 65_536, 100_000] {
        for (opcode, fin) in [(TEXT, true), (BINARY, false)] {
            let frame = Frame { fin, rsv: 0, opcode, payload: vec![b'x'; length] };
            let bytes = frame.unmasked();
            assert_eq!(Frame::decode(&bytes), Some((frame.clone(), bytes.len())));
            assert_eq!(Frame::decode(&bytes[..bytes.len() - 1]), None, "a part is not a frame");
            assert_eq!(frame.masked().len(), bytes.len() + 4);
        }
    }
    // RFC 6455 §5.7: a masked "Hello".
    assert_eq!(Frame::text("Hello").masked(), [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58]);
}

#[test]
fn answers_are_read_whole() {
    let fixed = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcREST";
    let (answer, size) = Answer::decode(fixed, false).unwrap();
    assert_eq!((answer.status, answer.body.as_str(), size), (200, "abc", fixed.len() - 4));
    let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    assert_eq!(Answer::decode(chunked, false).unwrap().0.body, "abcde");
    for cut in 0..chunked.len() {
        assert_eq!(Answer::decode(&chunked[..cut], false), None);
    }
    let open = b"HTTP/1.1 404 Not Found\r\n\r\ngone";
    assert_eq!(Answer::decode(open, false), None);
    assert_eq!(Answer::decode(open, true).unwrap().0.body, "gone");
}
