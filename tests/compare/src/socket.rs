//! One WebSocket of the load generator.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::skim::Skim;
use crate::wire::{Dialect, Greeting, masked};

/// How long a server may take to answer while a connection is set up.
const PATIENCE: Duration = Duration::from_secs(20);

/// A connection that is ready for use.
#[derive(Debug)]
pub(crate) struct Socket {
    pub(crate) stream: TcpStream,
    skim: Skim,
    /// What the kernel has not taken yet.
    unsent: Vec<u8>,
}

impl Socket {
    /// Connects, shakes hands, says the greeting and awaits the answers to it.
    pub(crate) fn open(to: SocketAddr, dialect: Dialect, greeting: &Greeting) -> Result<Self, String> {
        let mut stream = TcpStream::connect(to).map_err(|error| format!("{to}: {error}"))?;
        let prepared = stream.set_nodelay(true).and_then(|()| stream.set_read_timeout(Some(PATIENCE)));
        prepared.map_err(|error| error.to_string())?;
        let early = shake_hands(&mut stream).map_err(|error| format!("handshake: {error}"))?;
        let mut skim = Skim::new(greeting.answers.0);
        let mut answered = skim.feed(&early)?;
        for frame in &greeting.frames {
            stream.write_all(&masked(frame, dialect.is_text())).map_err(|error| error.to_string())?;
        }
        let mut buffer = [0; 4096];
        while answered < greeting.answers.1 {
            match stream.read(&mut buffer) {
                Ok(length) if length > 0 => answered += skim.feed(&buffer[..length])?,
                Ok(_) => return Err("the server hung up".into()),
                Err(error) => return Err(format!("no answer: {error}")),
            }
        }
        skim.unit = greeting.then;
        stream.set_nonblocking(true).map_err(|error| error.to_string())?;
        Ok(Self { stream, skim, unsent: Vec::new() })
    }

    /// Reads once; gives how much was counted.
    pub(crate) fn receive(&mut self, scratch: &mut [u8]) -> Result<u64, String> {
        match self.stream.read(scratch) {
            Ok(0) => Err("the server hung up".into()),
            Ok(length) => self.skim.feed(&scratch[..length]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Sends, or keeps what the kernel does not take.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.unsent.extend_from_slice(bytes);
        while !self.unsent.is_empty() {
            match self.stream.write(&self.unsent) {
                Ok(written) => drop(self.unsent.drain(..written)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.to_string()),
            }
        }
        Ok(())
    }

    pub(crate) fn has_unsent(&self) -> bool {
        !self.unsent.is_empty()
    }
}

/// Does the opening handshake; gives what came behind the answer.
fn shake_hands(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let request = "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let length = stream.read(&mut buffer)?;
        answer.extend_from_slice(&buffer[..length]);
        if let Some(end) = answer.windows(4).position(|four| four == b"\r\n\r\n") {
            if !answer.starts_with(b"HTTP/1.1 101") {
                return Err(io::Error::other(String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_owned()));
            }
            return Ok(answer.split_off(end + 4));
        }
        if length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}
