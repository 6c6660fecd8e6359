//! The load: publishers and subscribers of one server, driven by one thread on epoll.

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::fd::OwnedFd;
use rustix::time::Timespec;

use crate::clock::now_ns;
use crate::peer::Peer;
use crate::socket::Socket;
use crate::wire::Publishes;

/// Bytes of one read.
const READ_BYTES: usize = 256 * 1024;
/// Messages that the average subscriber may be behind before publishers wait: no server has to queue more.
const LAG_MAX: u64 = 1_024;
/// Nothing comes for this long: messages are lost.
const STALL_NS: u64 = 20_000_000_000;

/// What is to be connected.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) topics: usize,
    pub(crate) subscribers_per_topic: usize,
}

/// How publishes are sent.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Pace {
    /// Each publisher keeps this many unanswered.
    Window(u64),
    /// One publisher sends one in every so many nanoseconds.
    EveryNs(u64),
}

/// What a run took.
#[derive(Debug, Clone, Default)]
pub(crate) struct Outcome {
    pub(crate) publishes: u64,
    pub(crate) deliveries: u64,
    pub(crate) wall_ns: u64,
    pub(crate) cpu_ns: u64,
    /// From the send to the receipt of each delivery, where that was asked for; sorted.
    pub(crate) latencies_ns: Vec<u64>,
}

struct Publisher {
    socket: Socket,
    publishes: Publishes,
    sent: u64,
    acked: u64,
}

struct Subscriber {
    socket: Socket,
    received: u64,
}

/// Connections to one server: one publisher a topic, and the subscribers.
pub(crate) struct Load {
    epoll: OwnedFd,
    shape: Shape,
    publishers: Vec<Publisher>,
    subscribers: Vec<Subscriber>,
    scratch: Vec<u8>,
    frames: Vec<u8>,
}

impl Load {
    /// Connects and joins everything.
    pub(crate) fn connect(peer: &Peer, shape: Shape) -> Result<Self, String> {
        let (address, dialect) = (peer.address, peer.kind.dialect());
        let epoll = epoll::create(CreateFlags::CLOEXEC).map_err(|error| error.to_string())?;
        let mut load = Self { epoll, shape, publishers: Vec::new(), subscribers: Vec::new(), scratch: vec![0; READ_BYTES], frames: Vec::new() };
        for topic in 0..shape.topics {
            let socket = Socket::open(address, dialect, &dialect.publisher(topic))?;
            load.watch(&socket, topic)?;
            load.publishers.push(Publisher { socket, publishes: Publishes::new(dialect, topic, topic), sent: 0, acked: 0 });
        }
        for topic in (0..shape.topics).flat_map(|topic| std::iter::repeat_n(topic, shape.subscribers_per_topic)) {
            let socket = Socket::open(address, dialect, &dialect.subscriber(topic))?;
            load.watch(&socket, shape.topics + load.subscribers.len())?;
            load.subscribers.push(Subscriber { socket, received: 0 });
        }
        Ok(load)
    }

    fn watch(&self, socket: &Socket, token: usize) -> Result<(), String> {
        epoll::add(&self.epoll, &socket.stream, EventData::new_u64(token as u64), EventFlags::IN).map_err(|error| error.to_string())
    }

    /// Publishes `each` messages from each publisher, and waits until all are answered and delivered.
    ///
    /// # Errors
    /// Something is lost, invented, or refused.
    pub(crate) fn run(&mut self, peer: &Peer, pace: Pace, each: u64) -> Result<Outcome, String> {
        for publisher in &mut self.publishers {
            (publisher.sent, publisher.acked) = (0, 0);
        }
        for subscriber in &mut self.subscribers {
            subscriber.received = 0;
        }
        let cpu_before = peer.cpu_ns()?;
        let began = now_ns();
        let mut run = Run { pace, each, began, ..Run::default() };
        let expected = each * self.subscribers.len() as u64;
        let owed = each * self.publishers.len() as u64;
        let mut events = Vec::with_capacity(1_024);
        let mut last = began;
        while run.received < expected || run.acked < owed {
            let wait = self.publish(&mut run)?;
            events.clear();
            epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&wait)).map_err(|error| error.to_string())?;
            for event in &events {
                let data = event.data;
                self.receive(data.u64() as usize, &mut run)?;
            }
            if !events.is_empty() {
                last = now_ns();
            } else if now_ns() - last > STALL_NS {
                return Err(format!(
                    "{}: {} of {expected} deliveries, {} of {owed} answers, then nothing",
                    peer.kind.name(),
                    run.received,
                    run.acked
                ));
            }
        }
        let wall_ns = now_ns() - began;
        let cpu_ns = peer.cpu_ns()? - cpu_before;
        if let Some(wrong) = self.subscribers.iter().find(|subscriber| subscriber.received != each) {
            return Err(format!("{}: a subscriber got {} messages instead of {each}", peer.kind.name(), wrong.received));
        }
        run.latencies.sort_unstable();
        Ok(Outcome { publishes: owed, deliveries: expected, wall_ns, cpu_ns, latencies_ns: run.latencies })
    }

    /// Sends what may be sent; gives how long to wait for something to come.
    fn publish(&mut self, run: &mut Run) -> Result<Timespec, String> {
        let audience = self.shape.subscribers_per_topic as u64;
        let mut wait_ns = 100_000_000;
        for publisher in &mut self.publishers {
            if publisher.socket.has_unsent() {
                publisher.socket.send(&[])?;
                wait_ns = 1_000_000;
            }
            let room = match run.pace {
                Pace::Window(window) => {
                    let lag = (run.sent * audience - run.received) / self.subscribers.len().max(1) as u64;
                    (window - (publisher.sent - publisher.acked)).min(LAG_MAX.saturating_sub(lag))
                }
                Pace::EveryNs(every) => {
                    let now = now_ns();
                    let due = (now - run.began) / every + 1;
                    wait_ns = wait_ns.min(run.began + due * every - now);
                    due.saturating_sub(publisher.sent)
                }
            };
            let count = room.min(run.each - publisher.sent);
            if count == 0 {
                continue;
            }
            self.frames.clear();
            for _ in 0..count {
                publisher.publishes.put_next(&mut self.frames);
            }
            if matches!(run.pace, Pace::EveryNs(_)) {
                run.sent_at.extend(std::iter::repeat_n(now_ns(), count as usize));
            }
            publisher.socket.send(&self.frames)?;
            publisher.sent += count;
            run.sent += count;
        }
        Ok(Timespec { tv_sec: 0, tv_nsec: wait_ns as i64 })
    }

    fn receive(&mut self, token: usize, run: &mut Run) -> Result<(), String> {
        if let Some(publisher) = self.publishers.get_mut(token) {
            let count = publisher.socket.receive(&mut self.scratch)?;
            publisher.acked += count;
            run.acked += count;
            return if publisher.acked <= publisher.sent { Ok(()) } else { Err("more answers than publishes".into()) };
        }
        let subscriber = &mut self.subscribers[token - self.publishers.len()];
        let count = subscriber.socket.receive(&mut self.scratch)?;
        if matches!(run.pace, Pace::EveryNs(_)) {
            let now = now_ns();
            // Deliveries come in order and none is lost: the n-th one is the n-th publish.
            let sent =
                run.sent_at.get(subscriber.received as usize..(subscriber.received + count) as usize).ok_or("more deliveries than publishes")?;
            run.latencies.extend(sent.iter().map(|sent| now - sent));
        }
        subscriber.received += count;
        run.received += count;
        if subscriber.received <= run.each { Ok(()) } else { Err("more deliveries than publishes".into()) }
    }
}

/// How far a run is.
struct Run {
    pace: Pace,
    each: u64,
    began: u64,
    sent: u64,
    acked: u64,
    received: u64,
    sent_at: Vec<u64>,
    latencies: Vec<u64>,
}

impl Default for Run {
    fn default() -> Self {
        Self { pace: Pace::Window(1), each: 0, began: 0, sent: 0, acked: 0, received: 0, sent_at: Vec::new(), latencies: Vec::new() }
    }
}
