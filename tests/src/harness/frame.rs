//! WebSocket frames made by hand (RFC 6455 §5.2), also such as no client would send.

/// A continuation of a fragmented message.
pub const CONTINUATION: u8 = 0x0;
/// A text message, or its first fragment.
pub const TEXT: u8 = 0x1;
/// A binary message, or its first fragment.
pub const BINARY: u8 = 0x2;
/// The last frame of a connection.
pub const CLOSE: u8 = 0x8;
/// Asks for a pong.
pub const PING: u8 = 0x9;
/// Answers a ping.
pub const PONG: u8 = 0xA;

/// The mask of every frame that is masked: any value does.
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Whether the message ends with it.
    pub fin: bool,
    /// The three reserved bits, as a number up to 7.
    pub rsv: u8,
    /// What it is.
    pub opcode: u8,
    /// Its bytes, unmasked.
    pub payload: Vec<u8>,
}

impl Frame {
    /// A whole message, or a control frame.
    #[must_use]
    pub fn new(opcode: u8, payload: impl Into<Vec<u8>>) -> Self {
        Self { fin: true, rsv: 0, opcode, payload: payload.into() }
    }

    /// A whole text message.
    #[must_use]
    pub fn text(text: &str) -> Self {
        Self::new(TEXT, text)
    }

    /// A close frame with a code.
    #[must_use]
    pub fn close(code: u16, reason: &str) -> Self {
        Self::new(CLOSE, [&code.to_be_bytes(), reason.as_bytes()].concat())
    }

    /// The same, to be continued.
    #[must_use]
    pub fn unfinished(mut self) -> Self {
        self.fin = false;
        self
    }

    /// The same with reserved bits set.
    #[must_use]
    pub fn with_rsv(mut self, rsv: u8) -> Self {
        self.rsv = rsv;
        self
    }

    /// As a client must send it: masked, in the shortest length encoding.
    #[must_use]
    pub fn masked(&self) -> Vec<u8> {
        self.encode(true)
    }

    /// As a client must not send it.
    #[must_use]
    pub fn unmasked(&self) -> Vec<u8> {
        self.encode(false)
    }

    fn encode(&self, masked: bool) -> Vec<u8> {
        let length = self.payload.len();
        let encoding = match length {
            0..126 => Length::Short,
            126..0x1_0000 => Length::Medium,
            _ => Length::Long,
        };
        let mut bytes = header(self.first_byte(), encoding, length as u64, masked);
        if masked {
            bytes.extend(self.payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        } else {
            bytes.extend(&self.payload);
        }
        bytes
    }

    fn first_byte(&self) -> u8 {
        u8::from(self.fin) << 7 | self.rsv << 4 | self.opcode
    }

    /// The first frame in `bytes` and its size there, once it is whole. A server's frames are not masked.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<(Self, usize)> {
        let (&first, &second) = (bytes.first()?, bytes.get(1)?);
        assert!(second & 0x80 == 0, "a server must not mask");
        let (start, length) = match second {
            126 => (4, usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?))),
            127 => (10, usize::try_from(u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?)).ok()?),
            short => (2, usize::from(short)),
        };
        let payload = bytes.get(start..start + length)?.to_vec();
        Some((Self { fin: first & 0x80 != 0, rsv: first >> 4 & 7, opcode: first & 0xF, payload }, start + length))
    }

    /// The code of a close frame, where it has one.
    #[must_use]
    pub fn close_code(&self) -> Option<u16> {
        (self.opcode == CLOSE).then_some(())?;
        Some(u16::from_be_bytes(self.payload.get(..2)?.try_into().ok()?))
    }
}

/// How a length is written.
#[derive(Debug, Clone, Copy)]
pub enum Length {
    /// In 7 bits.
    Short,
    /// In 16 bits.
    Medium,
    /// In 64 bits.
    Long,
}

/// A frame header that says what it is told to, right or wrong.
#[must_use]
pub fn header(first: u8, encoding: Length, length: u64, masked: bool) -> Vec<u8> {
    let mask_bit = u8::from(masked) << 7;
    let mut bytes = vec![first];
    match encoding {
        Length::Short => bytes.push(mask_bit | (length & 0x7f) as u8),
        Length::Medium => {
            bytes.push(mask_bit | 126);
            bytes.extend(&(length as u16).to_be_bytes());
        }
        Length::Long => {
            bytes.push(mask_bit | 127);
            bytes.extend(&length.to_be_bytes());
        }
    }
    if masked {
        bytes.extend(MASK);
    }
    bytes
}
