//! Counting what a server sent without reading it: frames, or the fixed-length messages of the NATS protocol inside of them.

/// What is counted in a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Every text or binary frame is one.
    Frame,
    /// Every `MSG` of this many bytes is one.
    NatsMessage(usize),
    /// Every `+OK` is one.
    NatsOk,
    /// Every `PONG` is one.
    NatsPong,
}

/// Goes over the bytes of one connection as they come, and counts.
#[derive(Debug)]
pub(crate) struct Skim {
    pub(crate) unit: Unit,
    /// The beginning of a frame header that has not come whole.
    header: Vec<u8>,
    /// Bytes of the present frame's payload that are still to come.
    payload_left: usize,
    /// Bytes of the present NATS message or line that are still to come.
    skip: usize,
    /// In a NATS line whose length is not known: skip to its end.
    to_line_end: bool,
}

impl Skim {
    pub(crate) fn new(unit: Unit) -> Self {
        Self { unit, header: Vec::with_capacity(10), payload_left: 0, skip: 0, to_line_end: false }
    }

    /// Takes what came; gives how many of the unit ended or began in it.
    ///
    /// # Errors
    /// The server closed the connection or refused something.
    pub(crate) fn feed(&mut self, mut bytes: &[u8]) -> Result<u64, String> {
        let mut count = 0;
        while !bytes.is_empty() {
            if self.payload_left == 0 {
                let (used, began) = self.frame_header(bytes)?;
                bytes = &bytes[used..];
                count += u64::from(began && self.unit == Unit::Frame);
                continue;
            }
            let (here, rest) = bytes.split_at(self.payload_left.min(bytes.len()));
            self.payload_left -= here.len();
            if self.unit != Unit::Frame {
                count += self.nats(here)?;
            }
            bytes = rest;
        }
        Ok(count)
    }

    /// Takes a frame header or a part of one; gives its bytes, and whether a data frame began.
    fn frame_header(&mut self, bytes: &[u8]) -> Result<(usize, bool), String> {
        let before = self.header.len();
        let wanted = |have: &[u8]| match have.get(1).map(|second| second & 0x7F) {
            None | Some(0..=125) => 2,
            Some(126) => 4,
            Some(_) => 10,
        };
        for byte in bytes {
            self.header.push(*byte);
            if self.header.len() >= 2 && self.header.len() == wanted(&self.header) {
                break;
            }
        }
        let used = self.header.len() - before;
        if self.header.len() < 2 || self.header.len() < wanted(&self.header) {
            return Ok((used, false));
        }
        self.payload_left = match self.header[..] {
            [_, short] => usize::from(short & 0x7F),
            [_, _, ref long @ ..] => long.iter().fold(0, |length, byte| (length << 8) | usize::from(*byte)),
            _ => unreachable!("a header has two bytes at least"),
        };
        let opcode = self.header[0] & 0x0F;
        self.header.clear();
        if opcode == 8 { Err("the server closed the connection".into()) } else { Ok((used, matches!(opcode, 1 | 2))) }
    }

    fn nats(&mut self, mut bytes: &[u8]) -> Result<u64, String> {
        let mut count = 0;
        while let Some(first) = bytes.first() {
            if self.to_line_end {
                let end = bytes.iter().position(|byte| *byte == b'\n');
                self.to_line_end = end.is_none();
                bytes = &bytes[end.map_or(bytes.len(), |end| end + 1)..];
                continue;
            }
            if self.skip > 0 {
                // The second letter tells PONG from PING.
                count += u64::from(self.unit == Unit::NatsPong && self.skip == 5 && bytes[0] == b'O');
                let skipped = self.skip.min(bytes.len());
                self.skip -= skipped;
                bytes = &bytes[skipped..];
                continue;
            }
            match (first, self.unit) {
                (b'M', Unit::NatsMessage(length)) => (self.skip, count) = (length - 1, count + 1),
                (b'+', unit) => (self.skip, count) = (4, count + u64::from(unit == Unit::NatsOk)),
                (b'P', _) => self.skip = 5,
                (b'I', _) => self.to_line_end = true,
                _ => return Err(format!("the server sent {:?}", String::from_utf8_lossy(&bytes[..bytes.len().min(60)]))),
            }
            bytes = &bytes[1..];
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0x82];
        match payload.len() {
            short @ 0..=125 => bytes.push(short as u8),
            long => bytes.extend([126, (long >> 8) as u8, long as u8]),
        }
        bytes.extend_from_slice(payload);
        bytes
    }

    #[test]
    fn counts_do_not_depend_on_where_the_reads_end() {
        let message = b"MSG t 1 3\r\nabc\r\n";
        let stream =
            [framed(b"INFO {}\r\n"), framed(b"PONG\r\n"), framed(&message.repeat(20)), framed(b"PING\r\n+OK\r\n"), framed(message), vec![0x89, 0]]
                .concat();
        let cases = [(Unit::Frame, 5), (Unit::NatsMessage(message.len()), 21)];
        for (unit, expected) in cases {
            for step in 1..stream.len() {
                let mut skim = Skim::new(unit);
                let counted: u64 = stream.chunks(step).map(|chunk| skim.feed(chunk).unwrap()).sum();
                assert_eq!(counted, expected, "{unit:?} in steps of {step}");
            }
        }
    }

    #[test]
    fn answers_are_told_apart() {
        let stream = [framed(b"+OK\r\nPING\r\n"), framed(b"+OK\r\nPONG\r\nPONG\r\n+OK\r\n")].concat();
        for (unit, expected) in [(Unit::NatsOk, 3), (Unit::NatsPong, 2)] {
            for step in 1..stream.len() {
                let mut skim = Skim::new(unit);
                let counted: u64 = stream.chunks(step).map(|chunk| skim.feed(chunk).unwrap()).sum();
                assert_eq!(counted, expected, "{unit:?} in steps of {step}");
            }
        }
    }

    #[test]
    fn a_close_or_a_refusal_is_noticed() {
        assert!(Skim::new(Unit::Frame).feed(&[0x88, 2, 0x10, 0x04]).is_err());
        assert!(Skim::new(Unit::NatsOk).feed(&framed(b"-ERR 'no'\r\n")).is_err());
    }
}
