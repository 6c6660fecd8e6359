//! The HTTP rows that are answered at once.

use arqonbus_tests::harness::{
    Reach, http,
    socket::{Socket, upgrade},
};

use super::Arena;

/// What must come back.
enum Answer {
    /// One of these statuses.
    Status(&'static [u16]),
    /// The connection is closed, with an error status or without a word.
    Refused,
}

use Answer::{Refused, Status};

const CONFIG: &str = "origins = [\"https://app.example\"]\n";

/// `HOST` stands for the server's address.
fn rows() -> Vec<(&'static str, String, Answer)> {
    let good = upgrade("/v1/ws", "HOST", "");
    let with = |extra: &str| upgrade("/v1/ws", "HOST", extra);
    let without = |line: &str| good.replace(&format!("{line}\r\n"), "");
    let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
    let post = "POST /v1/envelopes HTTP/1.1\r\nHost: HOST\r\n";
    let body = "Content-Length: 35\r\n\r\n{\"type\":\"command\",\"command\":\"ping\"}";
    vec![
        ("as it should be", good.clone(), Status(&[101])),
        ("version 12", good.replace("Version: 13", "Version: 12"), Status(&[426])),
        ("version of text", good.replace("Version: 13", "Version: thirteen"), Status(&[400, 426])),
        ("no version", without("Sec-WebSocket-Version: 13"), Status(&[400, 426])),
        ("no key", without(key), Status(&[400])),
        ("an empty key", good.replace(key, "Sec-WebSocket-Key: "), Status(&[400])),
        ("a key that is not base64", good.replace("dGhlIHNhbXBsZSBub25jZQ==", "!!!!!!!!!!!!!!!!!!!!!!=="), Status(&[400])),
        ("a short key", good.replace("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZQ=="), Status(&[400])),
        ("a long key", good.replace("dGhlIHNhbXBsZSBub25jZQ==", &"A".repeat(64)), Status(&[400])),
        ("two keys", with(&format!("{key}\r\n")), Status(&[400])),
        ("no host", without("Host: HOST"), Status(&[400])),
        ("two hosts", with("Host: other.example\r\n"), Status(&[400])),
        ("no upgrade", without("Upgrade: websocket"), Status(&[400, 426])),
        ("another upgrade", good.replace("Upgrade: websocket", "Upgrade: h2c"), Status(&[400, 426])),
        ("no connection header", without("Connection: Upgrade"), Status(&[400, 426])),
        ("a POST", good.replace("GET", "POST"), Status(&[400, 405])),
        ("HTTP/1.0", good.replace("HTTP/1.1", "HTTP/1.0"), Status(&[400, 426, 505])),
        ("length and chunks", format!("{post}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), Status(&[400])),
        ("two lengths", format!("{post}Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!"), Status(&[400])),
        ("a length of text", format!("{post}Content-Length: five\r\n\r\nhello"), Status(&[400])),
        ("a negative length", format!("{post}Content-Length: -5\r\n\r\nhello"), Status(&[400])),
        ("a post of a foreign page", format!("{post}Origin: https://evil.example\r\n{body}"), Status(&[403])),
        ("a post of a page without an origin", format!("{post}Origin: null\r\n{body}"), Status(&[403])),
        ("a post of two origins", format!("{post}Origin: http://HOST\r\nOrigin: https://evil.example\r\n{body}"), Status(&[403])),
        ("a post of a listed page", format!("{post}Origin: https://app.example\r\n{body}"), Status(&[200])),
        ("a post of an own page", format!("{post}Origin: http://HOST\r\n{body}"), Status(&[200])),
        ("a header of 64 KiB", with(&format!("X-Large: {}\r\n", "x".repeat(65_536))), Status(&[431])),
        ("a path of 64 KiB", upgrade(&format!("/{}", "x".repeat(65_536)), "HOST", ""), Status(&[414, 431])),
        ("a thousand headers", with(&(0..1_000).map(|n| format!("X-{n}: x\r\n")).collect::<String>()), Status(&[431])),
        ("a name with a space", with("X Y: z\r\n"), Status(&[400])),
        ("not HTTP", "\u{0}\u{1}\u{2}\u{3}\r\n\r\n".into(), Refused),
        ("HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into(), Refused),
        ("another protocol", "SSH-2.0-OpenSSH_9.6\r\n\r\n".into(), Refused),
        ("a foreign origin", with("Origin: https://evil.example\r\n"), Status(&[403])),
        ("no origin to speak of", with("Origin: null\r\n"), Status(&[403])),
        ("an empty origin", with("Origin: \r\n"), Status(&[403])),
        ("an origin with a suffix", with("Origin: https://app.example.evil.example\r\n"), Status(&[403])),
        ("an origin with a prefix", with("Origin: https://evilapp.example\r\n"), Status(&[403])),
        ("an origin as user name", with("Origin: https://app.example@evil.example\r\n"), Status(&[403])),
        ("an origin of another scheme", with("Origin: http://app.example\r\n"), Status(&[403])),
        ("an origin of another port", with("Origin: https://app.example:8443\r\n"), Status(&[403])),
        ("the own host at another port", with("Origin: http://127.0.0.1:1\r\n"), Status(&[403])),
        ("the own host with a suffix", with("Origin: http://HOST.evil.example\r\n"), Status(&[403])),
        ("a name that was made to lead here", upgrade("/", "evil.example", "Origin: http://evil.example\r\n"), Status(&[403])),
        ("two origins", with("Origin: https://app.example\r\nOrigin: https://evil.example\r\n"), Status(&[400, 403])),
        ("the listed origin", with("Origin: https://app.example\r\n"), Status(&[101])),
        ("the own origin", with("Origin: http://HOST\r\n"), Status(&[101])),
    ]
}

#[tokio::test]
async fn each_handshake_has_its_answer() {
    let mut arena = Arena::open(CONFIG).await;
    for (row, request, expected) in rows() {
        let request = request.replace("HOST", &arena.address().to_string());
        let answer = http::raw(arena.address(), request.as_bytes()).await;
        match (expected, answer) {
            (Status(statuses), Some(answer)) => assert!(statuses.contains(&answer.status), "{row}: {answer:?}"),
            (Status(statuses), None) => panic!("{row}: closed without {statuses:?}"),
            (Refused, answer) => assert!(answer.as_ref().is_none_or(|answer| answer.status >= 400), "{row}: {answer:?}"),
        }
        arena.probe(row).await;
    }
    arena.close().await;
}

#[tokio::test]
async fn a_wrong_version_is_told_the_right_one() {
    let arena = Arena::open("").await;
    let request = upgrade("/", &arena.address().to_string(), "").replace("Version: 13", "Version: 8");
    let answer = http::raw(arena.address(), request.as_bytes()).await.unwrap();
    assert_eq!((answer.status, answer.header("sec-websocket-version")), (426, Some("13")));
    arena.close().await;
}

/// A TLS client on the plain port is closed, and a thousand of them do not fill the log.
#[tokio::test]
async fn tls_on_the_plain_port_is_closed_without_a_flood_in_the_log() {
    const HELLO: &[u8] = &[0x16, 0x03, 0x01, 0x00, 0x05, 0x01, 0x00, 0x00, 0x01, 0x03];
    let mut arena = Arena::open("").await;
    let before = arena.process.log().lines().count();
    for _ in 0..200 {
        let mut socket = Socket::plain(arena.address()).await;
        socket.write(HELLO).await;
        socket.ended().await;
    }
    arena.probe("TLS").await;
    assert!(arena.process.log().lines().count() < before + 20, "{}", arena.process.log());
    arena.close().await;
}
