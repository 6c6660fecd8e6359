//! The client's half of RFC 6455, as far as a simulated client needs it.

/// What a server sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// A text message.
    Text(String),
    /// A ping, with what its pong repeats.
    Ping(Vec<u8>),
    /// A pong.
    Pong,
    /// A close frame, with its code.
    Close(u16),
}

/// The mask of every frame from here: any value does.
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A masked text frame.
#[must_use]
pub fn text(text: &str) -> Vec<u8> {
    masked(0x1, text.as_bytes())
}

/// A masked pong frame.
#[must_use]
pub fn pong(payload: &[u8]) -> Vec<u8> {
    masked(0xA, payload)
}

/// A masked close frame.
#[must_use]
pub fn close(code: u16) -> Vec<u8> {
    masked(0x8, &code.to_be_bytes())
}

fn masked(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![0x80 | opcode];
    match payload.len() {
        length @ 0..126 => out.push(0x80 | length as u8),
        length @ 126..0x1_0000 => {
            out.push(0x80 | 126);
            out.extend((length as u16).to_be_bytes());
        }
        length => {
            out.push(0x80 | 127);
            out.extend((length as u64).to_be_bytes());
        }
    }
    out.extend(MASK);
    out.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    out
}

/// Takes bytes as they come, and gives whole frames. The server never fragments.
#[derive(Debug, Default)]
pub struct Reader {
    bytes: Vec<u8>,
}

impl Reader {
    /// Takes what came.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Takes the next whole frame.
    ///
    /// # Panics
    /// Where a frame is not one that the server may send: that is a bug of the server.
    pub fn next_frame(&mut self) -> Option<Frame> {
        let (&first, &second) = (self.bytes.first()?, self.bytes.get(1)?);
        assert!(second & 0x80 == 0, "a server does not mask");
        assert!(first & 0x80 != 0, "this server does not fragment");
        let (start, length) = match second {
            126 => (4, usize::from(u16::from_be_bytes(self.bytes.get(2..4)?.try_into().ok()?))),
            127 => (10, usize::try_from(u64::from_be_bytes(self.bytes.get(2..10)?.try_into().ok()?)).ok()?),
            short => (2, usize::from(short)),
        };
        let payload = self.bytes.get(start..start + length)?.to_vec();
        self.bytes.drain(..start + length);
        Some(match first & 0xF {
            0x1 => Frame::Text(String::from_utf8(payload).expect("a server sends UTF-8")),
            0x8 => Frame::Close(u16::from_be_bytes(payload[..2].try_into().expect("a close frame has a code"))),
            0x9 => Frame::Ping(payload),
            0xA => Frame::Pong,
            other => panic!("a server does not send opcode {other}"),
        })
    }
}
