//! The thread of one shard and its tasks.

use std::cell::RefCell;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{LocalSet, spawn_local};

use super::courier::{self, Bells, Way, Wires, unclogged};
use super::{Core, HttpJob, connections, flusher, http};
use crate::fanout::connection::{Place, Sink};
use crate::routing::{Op, ShardId};
use crate::session::Channel;
use crate::shared::Shared;
use crate::storage::Store;
use crate::transport::socket::{Socket, Stream};

/// How often a shard looks at its connections and lanes.
const SWEEP: Duration = Duration::from_secs(1);
/// Things for a shard to do that may wait.
const CONTROLS_MAX: usize = 1_024;
/// Connections told or closed at once while draining, and the pause between closings: others are still being answered.
const CLOSE_SLICE: usize = 256;
const CLOSE_PAUSE: Duration = Duration::from_millis(5);

/// What the rest of the server asks of a shard.
pub(crate) enum Control {
    /// Serve this socket.
    Serve(Incoming),
    /// Carry out these envelopes.
    Http(HttpJob),
    /// Ask a home, on behalf of the node itself.
    Ask(Op),
    /// Tell every client that the server drains.
    AnnounceDrain,
    /// Close every connection, and say when all are closed.
    CloseAll(oneshot::Sender<()>),
    /// End the thread.
    Stop,
}

/// A socket after its handshake.
pub(crate) struct Incoming {
    pub(crate) stream: Upgraded,
    /// What came after the handshake in the same read.
    pub(crate) early: Bytes,
    pub(crate) place: Option<Place>,
    pub(crate) peer: Option<SocketAddr>,
}

/// An upgraded stream on its way to a shard.
pub(crate) enum Upgraded {
    Tcp(std::net::TcpStream),
    Boxed(Box<dyn Stream>),
}

/// A running shard.
pub(crate) struct Shard {
    pub(crate) controls: mpsc::Sender<Control>,
    pub(crate) thread: Option<JoinHandle<()>>,
}

/// Starts the thread of one shard.
pub(crate) fn spawn<S>(id: ShardId, shared: Arc<Shared>, wires: Wires, ways: Vec<Way>, store: S) -> std::io::Result<Shard>
where
    S: FnOnce() -> Box<dyn Store> + Send + 'static,
{
    let (controls, inbox) = mpsc::channel(CONTROLS_MAX);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let thread = std::thread::Builder::new().name(format!("shard-{id}")).spawn(move || {
        let mut core = Core::new(id, shared, store());
        core.tick();
        core.home.declare();
        let core = Rc::new(RefCell::new(core));
        LocalSet::new().block_on(&runtime, run(core, wires, ways, inbox));
    })?;
    Ok(Shard { controls, thread: Some(thread) })
}

async fn run(core: Rc<RefCell<Core>>, wires: Wires, ways: Vec<Way>, inbox: mpsc::Receiver<Control>) {
    let bells = Rc::new(Bells::new(ways.len()));
    let gather_ms = core.borrow().shared.config.flush_interval_ms;
    spawn_local(flusher::run(Rc::clone(&core), Rc::clone(&bells), gather_ms));
    spawn_local(flusher::give_slices(Rc::clone(&core), Rc::clone(&bells)));
    for (to, way) in ways.into_iter().enumerate() {
        spawn_local(courier::carry_ops(Rc::clone(&core), Rc::clone(&bells), to, way.clone()));
        spawn_local(courier::carry_deliveries(Rc::clone(&core), Rc::clone(&bells), to, way));
    }
    spawn_local(take_deliveries(Rc::clone(&core), Rc::clone(&bells), wires.deliveries));
    spawn_local(take_ops(Rc::clone(&core), Rc::clone(&bells), wires.ops));
    spawn_local(take_answers(Rc::clone(&core), Rc::clone(&bells)));
    spawn_local(sweep(Rc::clone(&core), Rc::clone(&bells)));
    obey(core, bells, inbox).await;
}

async fn take_deliveries(core: Rc<RefCell<Core>>, bells: Rc<Bells>, mut wire: mpsc::Receiver<Vec<crate::fanout::Delivery>>) {
    while let Some(parcel) = wire.recv().await {
        let core = &mut *core.borrow_mut();
        core.tick();
        for delivery in parcel {
            core.edge.deliver(delivery);
        }
        core.carry();
        bells.ring(core);
    }
}

async fn take_ops(core: Rc<RefCell<Core>>, bells: Rc<Bells>, mut wire: mpsc::Receiver<Vec<Op>>) {
    while let Some(parcel) = wire.recv().await {
        {
            let core = &mut *core.borrow_mut();
            core.tick();
            for op in parcel {
                core.home.ask(op);
            }
            core.carry();
            bells.ring(core);
        }
        unclogged(&core, &bells).await;
    }
}

/// Takes what a store answers late, for ever.
async fn take_answers(core: Rc<RefCell<Core>>, bells: Rc<Bells>) {
    poll_fn(|cx| {
        let core = &mut *core.borrow_mut();
        core.take_answers(cx);
        bells.ring(core);
        Poll::<()>::Pending
    })
    .await;
}

async fn sweep(core: Rc<RefCell<Core>>, bells: Rc<Bells>) {
    let mut timer = tokio::time::interval(SWEEP);
    timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        timer.tick().await;
        let core = &mut *core.borrow_mut();
        core.sweep();
        bells.ring(core);
    }
}

/// Does what the rest of the server asks, until it is told to stop.
async fn obey(core: Rc<RefCell<Core>>, bells: Rc<Bells>, mut inbox: mpsc::Receiver<Control>) {
    while let Some(control) = inbox.recv().await {
        match control {
            Control::Serve(incoming) => accept(&core, &bells, incoming),
            Control::Http(job) => drop(spawn_local(http::serve(Rc::clone(&core), Rc::clone(&bells), job))),
            Control::Ask(op) => {
                let core = &mut *core.borrow_mut();
                core.tick();
                core.home.ask(op);
                core.carry();
                bells.ring(core);
            }
            Control::AnnounceDrain => drop(spawn_local(announce_drain(Rc::clone(&core), Rc::clone(&bells)))),
            Control::CloseAll(done) => drop(spawn_local(close_all(Rc::clone(&core), Rc::clone(&bells), done))),
            Control::Stop => return,
        }
    }
}

fn accept(core: &Rc<RefCell<Core>>, bells: &Rc<Bells>, incoming: Incoming) {
    let Incoming { stream, early, place, peer } = incoming;
    let socket = match stream {
        Upgraded::Tcp(stream) => match tokio::net::TcpStream::from_std(stream) {
            Ok(stream) => Socket::Tcp(stream),
            Err(error) => return tracing::warn!(%error, "a socket could not be taken over"),
        },
        Upgraded::Boxed(stream) => Socket::Boxed(stream),
    };
    let key = {
        let core = &mut *core.borrow_mut();
        let key = core.open(Sink::Socket(socket), Channel::WebSocket, place, peer);
        bells.ring(core);
        key
    };
    spawn_local(connections::serve(Rc::clone(core), Rc::clone(bells), key, early));
}

/// Tells all clients in slices that the server drains.
async fn announce_drain(core: Rc<RefCell<Core>>, bells: Rc<Bells>) {
    let keys = core.borrow().audience_of_drain();
    for keys in keys.chunks(CLOSE_SLICE) {
        {
            let core = &mut *core.borrow_mut();
            core.announce_drain(keys);
            bells.ring(core);
        }
        tokio::task::yield_now().await;
    }
}

/// Closes all connections in slices, and waits until the last is gone.
async fn close_all(core: Rc<RefCell<Core>>, bells: Rc<Bells>, done: oneshot::Sender<()>) {
    loop {
        let more = {
            let core = &mut *core.borrow_mut();
            let more = core.close_slice(CLOSE_SLICE);
            bells.ring(core);
            more
        };
        if !more && core.borrow().edge.connections.len() == 0 {
            // Whoever asked may have stopped waiting.
            let _ = done.send(());
            return;
        }
        tokio::time::sleep(CLOSE_PAUSE).await;
    }
}
