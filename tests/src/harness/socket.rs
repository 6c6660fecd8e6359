//! A WebSocket client of our own over a plain TCP stream: it sends what it is told, and shows what comes back.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use super::clock::{PATIENCE, within};
use super::frame::Frame;
use super::http::Answer;

/// The key and its answer of RFC 6455 §1.3: so the client needs no SHA-1 to check a server's.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// An upgrade request; `extra` are further header lines, each with its line end.
#[must_use]
pub fn upgrade(path: &str, host: &str, extra: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: {KEY}\r\n{extra}\r\n"
    )
}

/// One connection.
#[derive(Debug)]
pub struct Socket {
    stream: TcpStream,
    /// Bytes that were read and are not yet consumed.
    pending: Vec<u8>,
}

impl Socket {
    /// Connects, and says nothing.
    pub async fn plain(address: SocketAddr) -> Self {
        let stream = within(PATIENCE, "a TCP connection", TcpStream::connect(address)).await.expect("the server accepts");
        stream.set_nodelay(true).expect("a live socket");
        Self { stream, pending: Vec::new() }
    }

    /// Like [`Socket::open`], but a server that is not there, or says no, gives `None`.
    pub async fn try_open(address: SocketAddr) -> Option<Self> {
        let stream = within(PATIENCE, "a TCP connection or none", TcpStream::connect(address)).await.ok()?;
        stream.set_nodelay(true).ok()?;
        let mut socket = Self { stream, pending: Vec::new() };
        socket.write(upgrade("/v1/ws", &address.to_string(), "").as_bytes()).await;
        (socket.answer().await?.status == 101).then_some(socket)
    }

    /// Connects and shakes hands at `/v1/ws`.
    pub async fn open(address: SocketAddr) -> Self {
        let socket = Self::plain(address).await;
        socket.shake_hands(address, "/v1/ws", "").await
    }

    /// Like [`Socket::open`], with a receive buffer so small that an unread connection soon blocks its sender.
    pub async fn open_narrow(address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(4096).expect("a small buffer");
        let stream = within(PATIENCE, "a TCP connection", socket.connect(address)).await.expect("the server accepts");
        Self { stream, pending: Vec::new() }.shake_hands(address, "/v1/ws", "").await
    }

    /// Sends the upgrade request and checks the answer.
    pub async fn shake_hands(mut self, address: SocketAddr, path: &str, extra: &str) -> Self {
        self.write(upgrade(path, &address.to_string(), extra).as_bytes()).await;
        let answer = self.answer().await.expect("an answer to the handshake");
        assert_eq!(answer.status, 101, "{answer:?}");
        assert_eq!(answer.header("sec-websocket-accept"), Some(ACCEPT));
        self
    }

    /// Sends bytes as they are. A peer that has closed is not an error here; the next read tells.
    pub async fn write(&mut self, bytes: &[u8]) {
        let _ = within(PATIENCE, "room in the socket", self.stream.write_all(bytes)).await;
    }

    /// Sends bytes, one at a time, each in its own segment.
    pub async fn trickle(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write(&[*byte]).await;
            tokio::task::yield_now().await;
        }
    }

    /// Sends a frame as a client should.
    pub async fn send(&mut self, frame: &Frame) {
        self.write(&frame.masked()).await;
    }

    /// Says that nothing more will be sent.
    pub async fn finish(&mut self) {
        let _ = self.stream.shutdown().await;
    }

    /// The next frame; `None` once the server has closed the stream.
    ///
    /// Safe to cancel: what was read stays.
    pub async fn read(&mut self) -> Option<Frame> {
        loop {
            if let Some((frame, size)) = Frame::decode(&self.pending) {
                self.pending.drain(..size);
                return Some(frame);
            }
            self.fill().await?;
        }
    }

    /// Reads frames until the close frame, and gives its code; `None` where the stream ended without one.
    pub async fn close_code(&mut self) -> Option<u16> {
        within(PATIENCE, "the end of the connection", async {
            while let Some(frame) = self.read().await {
                if frame.opcode == super::frame::CLOSE {
                    return Some(frame.close_code().unwrap_or(1005));
                }
            }
            None
        })
        .await
    }

    /// Waits until the server has ended the stream.
    pub async fn ended(&mut self) {
        within(PATIENCE, "the end of the stream", async {
            while self.fill().await.is_some() {
                self.pending.clear();
            }
        })
        .await;
    }

    /// The next HTTP answer; `None` where the stream ended without one.
    pub async fn answer(&mut self) -> Option<Answer> {
        within(PATIENCE, "an HTTP answer", async {
            loop {
                if let Some((answer, size)) = Answer::decode(&self.pending, false) {
                    self.pending.drain(..size);
                    return Some(answer);
                }
                if self.fill().await.is_none() {
                    return Answer::decode(&self.pending, true).map(|(answer, _)| answer);
                }
            }
        })
        .await
    }

    async fn fill(&mut self) -> Option<()> {
        matches!(self.stream.read_buf(&mut self.pending).await, Ok(1..)).then_some(())
    }

    /// Ends the connection with a TCP reset, as a lost process would.
    pub fn reset(self) {
        let _ = self.stream.set_zero_linger();
    }
}
