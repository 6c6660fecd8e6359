//! Plain HTTP by hand: requests as bytes, answers as they came.

use std::net::SocketAddr;

use super::socket::Socket;

/// An HTTP answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

impl Answer {
    /// The value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The lines of the body as JSON.
    #[must_use]
    pub fn lines(&self) -> Vec<serde_json::Value> {
        self.body.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("JSON: {line}"))).collect()
    }

    /// The first answer in `bytes` and its size there, once it is whole; `ended` says that no more bytes will come.
    pub(super) fn decode(bytes: &[u8], ended: bool) -> Option<(Self, usize)> {
        let head_end = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
        let head = String::from_utf8_lossy(&bytes[..head_end]);
        let mut lines = head.lines();
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let headers: Vec<_> =
            lines.filter_map(|line| line.split_once(':')).map(|(name, value)| (name.to_lowercase(), value.trim().to_owned())).collect();
        let mut answer = Self { status, headers, body: String::new() };
        let rest = &bytes[head_end..];
        let (body, size) = match answer.header("content-length") {
            _ if status == 101 => (Vec::new(), 0),
            Some(length) => {
                let length = length.parse().ok()?;
                (rest.get(..length)?.to_vec(), length)
            }
            None if answer.header("transfer-encoding").is_some() => unchunk(rest)?,
            None => ended.then(|| (rest.to_vec(), rest.len()))?,
        };
        answer.body = String::from_utf8(body).expect("text");
        Some((answer, head_end + size))
    }
}

/// Reads a chunked body (RFC 9112 §7.1), and gives its size on the wire.
fn unchunk(bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
    let (mut body, mut at) = (Vec::new(), 0);
    loop {
        let line_end = at + bytes[at..].windows(2).position(|window| window == b"\r\n")?;
        let size = usize::from_str_radix(std::str::from_utf8(&bytes[at..line_end]).ok()?, 16).ok()?;
        let chunk = bytes.get(line_end + 2..line_end + 2 + size + 2)?;
        body.extend(&chunk[..size]);
        at = line_end + 2 + size + 2;
        if size == 0 {
            return Some((body, at));
        }
    }
}

/// Sends bytes on a connection of their own, and gives the answer; `None` where the server closes without one.
pub async fn raw(address: SocketAddr, request: &[u8]) -> Option<Answer> {
    let mut socket = Socket::plain(address).await;
    socket.write(request).await;
    socket.answer().await
}

/// A GET. A server gives up who has connected and says nothing for five seconds, as a test on a busy machine may: it is asked again.
pub async fn fetch(address: SocketAddr, path: &str) -> Answer {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    for _ in 0..2 {
        if let Some(answer) = raw(address, request.as_bytes()).await {
            return answer;
        }
    }
    raw(address, request.as_bytes()).await.expect("an answer")
}

/// A POST.
pub async fn post(address: SocketAddr, path: &str, body: &str) -> Answer {
    let length = body.len();
    let request = format!("POST {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}");
    raw(address, request.as_bytes()).await.expect("an answer")
}
