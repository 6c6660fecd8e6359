//! The bare loop: what the socket itself costs. It takes WebSockets, and answers each publish with one prebuilt frame to the publisher and
//! one to every subscriber of its topic; it reads no text, keeps nothing, checks nothing. After every read it writes to everybody, naively.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::fd::OwnedFd;

/// A delivery of ArqonBus with the payload of the comparison has about this many bytes.
const DELIVERY_BYTES: usize = 470;
/// An answer to a publish has.
const ANSWER_BYTES: usize = 170;
/// Frames that are written at once at most.
const FRAMES_MAX: usize = 1_024;

/// What a connection is there for.
enum Role {
    Handshake(Vec<u8>),
    Undecided,
    Subscriber,
    Publisher(usize),
}

struct Conn {
    stream: TcpStream,
    role: Role,
    /// Bytes of a publish that has come in part.
    partial: usize,
    /// Bytes of a prebuilt frame that are still to be written.
    owed: usize,
    frame_bytes: usize,
}

/// Serves on `port` until it is killed.
pub(crate) fn serve(port: u16) -> io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    let epoll = epoll::create(CreateFlags::CLOEXEC)?;
    epoll::add(&epoll, &listener, EventData::new_u64(u64::MAX), EventFlags::IN)?;
    let mut bare = Bare { epoll, conns: Vec::new(), topics: Vec::new(), delivery: prebuilt(DELIVERY_BYTES), answer: prebuilt(ANSWER_BYTES) };
    let mut scratch = vec![0; 64 * 1024];
    let mut events = Vec::with_capacity(256);
    loop {
        events.clear();
        epoll::wait(&bare.epoll, spare_capacity(&mut events), None)?;
        for event in &events {
            let (data, flags) = (event.data, event.flags);
            if data.u64() == u64::MAX {
                bare.accept(listener.accept()?.0)?;
                continue;
            }
            let at = data.u64() as usize;
            if flags.contains(EventFlags::OUT) {
                bare.write(at, 0)?;
            }
            if flags.contains(EventFlags::IN) && bare.read(at, &mut scratch).is_err() {
                epoll::delete(&bare.epoll, &bare.conns[at].stream)?;
            }
        }
    }
}

struct Bare {
    epoll: OwnedFd,
    conns: Vec<Conn>,
    /// Subscribers by topic.
    topics: Vec<Vec<usize>>,
    delivery: Vec<u8>,
    answer: Vec<u8>,
}

impl Bare {
    fn accept(&mut self, stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        epoll::add(&self.epoll, &stream, EventData::new_u64(self.conns.len() as u64), EventFlags::IN)?;
        self.conns.push(Conn { stream, role: Role::Handshake(Vec::new()), partial: 0, owed: 0, frame_bytes: ANSWER_BYTES });
        Ok(())
    }

    fn read(&mut self, at: usize, scratch: &mut [u8]) -> io::Result<()> {
        let conn = &mut self.conns[at];
        let length = conn.stream.read(scratch)?;
        let bytes = &scratch[..length];
        if length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match &mut conn.role {
            Role::Handshake(request) => {
                request.extend_from_slice(bytes);
                if request.ends_with(b"\r\n\r\n") {
                    conn.role = Role::Undecided;
                    conn.stream.write_all(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")?;
                }
            }
            Role::Undecided => self.decide(at, bytes)?,
            Role::Publisher(topic) => {
                // Publishes of one run have one length: a masked header of 8 bytes, and the payload.
                let publish_bytes = 8 + crate::wire::PAYLOAD_BYTES;
                let (topic, whole) = (*topic, conn.partial + length);
                conn.partial = whole % publish_bytes;
                for receiver in 0..self.topics[topic].len() {
                    self.write(self.topics[topic][receiver], whole / publish_bytes)?;
                }
                self.write(at, whole / publish_bytes)?;
            }
            Role::Subscriber => {}
        }
        Ok(())
    }

    /// `S<topic>` or `P<topic>`, in one masked frame whose mask is zero.
    fn decide(&mut self, at: usize, bytes: &[u8]) -> io::Result<()> {
        let text = std::str::from_utf8(&bytes[6.min(bytes.len())..]).unwrap_or_default();
        let topic: usize = text.get(1..).and_then(|digits| digits.parse().ok()).ok_or(io::ErrorKind::InvalidData)?;
        self.topics.resize_with(self.topics.len().max(topic + 1), Vec::new);
        self.write(at, 1)?;
        let conn = &mut self.conns[at];
        if text.starts_with('S') {
            conn.role = Role::Subscriber;
            conn.frame_bytes = DELIVERY_BYTES;
            self.topics[topic].push(at);
        } else {
            conn.role = Role::Publisher(topic);
        }
        Ok(())
    }

    /// Writes `frames` more to one connection, as far as its socket takes them.
    fn write(&mut self, at: usize, frames: usize) -> io::Result<()> {
        let conn = &mut self.conns[at];
        let was_blocked = conn.owed > 0;
        conn.owed += frames * conn.frame_bytes;
        if was_blocked && frames > 0 {
            return Ok(());
        }
        let prebuilt = if conn.frame_bytes == DELIVERY_BYTES { &self.delivery } else { &self.answer };
        while conn.owed > 0 {
            // All frames are alike: what is owed ends where a frame ends.
            let start = (conn.frame_bytes - conn.owed % conn.frame_bytes) % conn.frame_bytes;
            let end = prebuilt.len().min(start + conn.owed);
            match conn.stream.write(&prebuilt[start..end]) {
                Ok(written) => conn.owed -= written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => conn.owed = 0,
            }
        }
        let blocked = conn.owed > 0;
        if blocked != was_blocked {
            let flags = if blocked { EventFlags::IN | EventFlags::OUT } else { EventFlags::IN };
            epoll::modify(&self.epoll, &conn.stream, EventData::new_u64(at as u64), flags)?;
        }
        Ok(())
    }
}

/// Many frames of `bytes` each, headers included.
fn prebuilt(bytes: usize) -> Vec<u8> {
    let mut frame = vec![0x81, 126];
    frame.extend(u16::try_from(bytes - 4).expect("our frames are short").to_be_bytes());
    frame.resize(bytes, b'x');
    frame.repeat(FRAMES_MAX)
}
