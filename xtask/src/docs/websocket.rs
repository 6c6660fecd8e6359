//! The least of a WebSocket client: text lines out, text lines in. It stands in for `websocat`.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// How long the next line may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// What comes in.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Received {
    /// One envelope.
    Text(String),
    /// The end, with its code.
    Closed(u16),
}

/// An open connection.
#[derive(Debug)]
pub(super) struct WebSocket {
    socket: TcpStream,
    buffer: Vec<u8>,
    /// Envelopes of a batch that were not asked for yet.
    lines: VecDeque<String>,
}

impl WebSocket {
    pub(super) fn open(port: u16) -> io::Result<Self> {
        let mut socket = TcpStream::connect(("127.0.0.1", port))?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let request = format!(
            "GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: arqonbus.v1\r\n\r\n"
        );
        socket.write_all(request.as_bytes())?;
        let mut opened = Self { socket, buffer: Vec::new(), lines: VecDeque::new() };
        let end = loop {
            if let Some(at) = opened.buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break at + 4;
            }
            opened.fill()?;
        };
        if !opened.buffer.starts_with(b"HTTP/1.1 101 ") {
            return Err(io::Error::other(String::from_utf8_lossy(&opened.buffer).into_owned()));
        }
        opened.buffer.drain(..end);
        Ok(opened)
    }

    /// Sends one text frame. The mask is zero: it protects proxies from hostile pages, and there are neither here.
    pub(super) fn send(&mut self, text: &str) -> io::Result<()> {
        self.send_frame(1, text.as_bytes())
    }

    fn send_frame(&mut self, opcode: u8, payload: &[u8]) -> io::Result<()> {
        let mut frame = vec![0x80 | opcode];
        match u8::try_from(payload.len()) {
            Ok(short) if short < 126 => frame.push(0x80 | short),
            _ => {
                frame.push(0x80 | 126);
                let length = u16::try_from(payload.len()).map_err(|_| io::Error::other("a line of a page has less than 64 KiB"))?;
                frame.extend_from_slice(&length.to_be_bytes());
            }
        }
        frame.extend_from_slice(&[0; 4]);
        frame.extend_from_slice(payload);
        self.socket.write_all(&frame)
    }

    /// Waits for the next envelope.
    pub(super) fn receive(&mut self) -> io::Result<Received> {
        loop {
            if let Some(line) = self.lines.pop_front() {
                return Ok(Received::Text(line));
            }
            let (opcode, payload) = self.receive_frame()?;
            match opcode {
                1 => self.lines.extend(String::from_utf8_lossy(&payload).lines().map(str::to_owned)),
                8 => {
                    let code = payload.first_chunk().map_or(1005, |code| u16::from_be_bytes(*code));
                    return Ok(Received::Closed(code));
                }
                9 => self.send_frame(10, &payload)?,
                _ => {}
            }
        }
    }

    fn receive_frame(&mut self) -> io::Result<(u8, Vec<u8>)> {
        loop {
            if let Some((head, length)) = self.frame_ahead() {
                let opcode = self.buffer[0] & 0x0f;
                let payload = self.buffer[head..head + length].to_vec();
                self.buffer.drain(..head + length);
                return Ok((opcode, payload));
            }
            self.fill()?;
        }
    }

    /// The sizes of the next frame's head and payload, once all of it is here. A server's frames are not masked.
    fn frame_ahead(&self) -> Option<(usize, usize)> {
        let (head, length) = match self.buffer.get(1)? & 0x7f {
            126 => (4, u64::from(u16::from_be_bytes(*self.buffer.get(2..)?.first_chunk()?))),
            127 => (10, u64::from_be_bytes(*self.buffer.get(2..)?.first_chunk()?)),
            length => (2, u64::from(length)),
        };
        let length = usize::try_from(length).ok()?;
        (self.buffer.len() >= head + length).then_some((head, length))
    }

    fn fill(&mut self) -> io::Result<()> {
        let mut chunk = [0; 4096];
        match self.socket.read(&mut chunk)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            length => {
                self.buffer.extend_from_slice(&chunk[..length]);
                Ok(())
            }
        }
    }
}
