//! Carries letters: what is said here into Redis, what others say out of it.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use redis::{Value, cmd};
use tokio::sync::{Notify, Semaphore, mpsc, oneshot, watch};
use tokio::task::{LocalSet, spawn_local};

use super::letter::{Letter, Said};
use super::{Held, Lookup, Peers, Post, To};
use crate::commands::page_len;
use crate::shard::{Way, Wires};
use crate::shared::Shared;
use crate::storage::redis::store::catalogue::{holds, search};
use crate::storage::redis::store::listing::list;
use crate::storage::redis::{Feed, Link, LinkError, LinkState, OpenError, Pushed};

/// How often time is looked at: what is due is at most so much late.
const SWEEP: Duration = Duration::from_millis(50);
/// Pushed letters that may wait to be read; what comes on top is lost, counted, and made up for.
const PUSHES_MAX: usize = 10_000;
/// Things to be said that may wait; what comes on top fails as if Redis were away.
const POSTS_MAX: usize = 10_000;
/// Bytes of one letter, about: what else there is makes the next.
const LETTER_BYTES: usize = 256 * 1024;
/// Searches of the list of all topics at once: each keeps names in memory, and Redis serves others between their steps.
const SEARCHES_AT_ONCE: usize = 4;
/// Questions or deliveries that may wait for a shard before no more letters are read.
const BACKLOG_MAX: usize = 10_000;

/// The running shard that stands for the other nodes. It ends when this is dropped.
pub(crate) struct Running {
    ready: watch::Receiver<bool>,
    goodbye: Option<oneshot::Sender<oneshot::Sender<()>>>,
    _thread: JoinHandle<()>,
}

impl Running {
    /// Tells when the other nodes have answered the first hello.
    pub(crate) fn readiness(&self) -> Acquainted {
        Acquainted(self.ready.clone())
    }

    /// Tells the others that this node goes, and ends.
    pub(crate) async fn say_goodbye(mut self, time: Duration) {
        let (said, done) = oneshot::channel();
        if self.goodbye.take().is_some_and(|goodbye| goodbye.send(said).is_ok()) {
            // Where Redis is away nobody hears it, and they find out by the silence.
            let _ = tokio::time::timeout(time, done).await;
        }
    }
}

/// Whether the other nodes are known.
pub(crate) struct Acquainted(watch::Receiver<bool>);

impl Acquainted {
    /// Waits until they are, at most for `time`.
    pub(crate) async fn wait(mut self, time: Duration) {
        // Whoever did not answer is heard of by its next sign of life.
        let _ = tokio::time::timeout(time, self.0.wait_for(|ready| *ready)).await;
    }
}

/// Starts the shard that stands for the other nodes.
pub(crate) fn spawn(shared: Arc<Shared>, wires: Wires, ways: Vec<Way>) -> Result<Running, super::StartError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (link, feed, pushes) = {
        let _within = runtime.enter();
        let (pushed, pushes) = mpsc::channel(PUSHES_MAX);
        let config = &shared.config.storage.redis;
        let opened: Result<_, OpenError> =
            Link::open(config, shared.random()).and_then(|link| Ok((link, Feed::open(config, shared.random(), pushed)?)));
        let (link, feed) = opened?;
        (link, feed, pushes)
    };
    let (tell_ready, ready) = watch::channel(false);
    let (goodbye, asked) = oneshot::channel();
    let thread = std::thread::Builder::new().name("peers".into()).spawn(move || {
        let desk = Rc::new(Desk::new(shared, link, ways.len(), tell_ready));
        LocalSet::new().block_on(&runtime, run(desk, feed, pushes, wires, ways, asked));
    })?;
    Ok(Running { ready, goodbye: Some(goodbye), _thread: thread })
}

/// What the tasks of this shard share.
struct Desk {
    shared: Arc<Shared>,
    peers: RefCell<Peers>,
    link: Link,
    all: String,
    inbox: String,
    publish: Notify,
    look_up: Notify,
    published: Notify,
    ops: Vec<Notify>,
    deliveries: Vec<Notify>,
    drained: Notify,
    ready: watch::Sender<bool>,
    /// Whether what others say comes here, once that was asked for.
    follows: Cell<Option<bool>>,
}

impl Desk {
    fn new(shared: Arc<Shared>, link: Link, shards: usize, ready: watch::Sender<bool>) -> Self {
        let bells = || (0..shards).map(|_| Notify::new()).collect();
        let shard = shared.abroad.expect("this shard is only started where there is one");
        // One hash tag: in a cluster both live on one server, and what one node says comes in order.
        let all = format!("{}:{{nodes}}", shared.config.storage.redis.prefix);
        Self {
            peers: RefCell::new(Peers::new(shard, Arc::clone(&shared))),
            inbox: format!("{all}:{}", shared.node),
            all,
            shared,
            link,
            publish: Notify::new(),
            look_up: Notify::new(),
            published: Notify::new(),
            ops: bells(),
            deliveries: bells(),
            drained: Notify::new(),
            ready,
            follows: Cell::new(None),
        }
    }

    /// Lets the core work, then wakes whoever has something to carry.
    fn turn(&self, work: impl FnOnce(&mut Peers)) {
        let peers = &mut *self.peers.borrow_mut();
        peers.tick();
        work(peers);
        peers.shed(POSTS_MAX);
        if !peers.out.is_empty() {
            self.publish.notify_one();
        }
        if !peers.lookups.is_empty() {
            self.look_up.notify_one();
        }
        for (bell, _) in self.ops.iter().zip(&peers.ops).filter(|(_, ops)| !ops.is_empty()) {
            bell.notify_one();
        }
        for (bell, _) in self.deliveries.iter().zip(&peers.deliveries).filter(|(_, deliveries)| !deliveries.is_empty()) {
            bell.notify_one();
        }
    }

    fn is_clogged(&self) -> bool {
        let peers = self.peers.borrow();
        peers.ops.iter().map(Vec::len).chain(peers.deliveries.iter().map(Vec::len)).any(|len| len > BACKLOG_MAX)
    }
}

async fn run(
    desk: Rc<Desk>,
    feed: Feed,
    pushes: mpsc::Receiver<Pushed>,
    wires: Wires,
    ways: Vec<Way>,
    mut goodbye: oneshot::Receiver<oneshot::Sender<()>>,
) {
    for (at, way) in ways.into_iter().enumerate() {
        let here = Rc::clone(&desk);
        spawn_local(async move { carry(&here, &here.ops[at], way.ops, |peers| std::mem::take(&mut peers.ops[at])).await });
        let here = Rc::clone(&desk);
        spawn_local(async move { carry(&here, &here.deliveries[at], way.deliveries, |peers| std::mem::take(&mut peers.deliveries[at])).await });
    }
    spawn_local(take_ops(Rc::clone(&desk), wires.ops));
    spawn_local(take_deliveries(Rc::clone(&desk), wires.deliveries));
    spawn_local(take_pushes(Rc::clone(&desk), pushes));
    spawn_local(publish(Rc::clone(&desk)));
    spawn_local(look_up(Rc::clone(&desk)));
    spawn_local(sweep(Rc::clone(&desk)));
    spawn_local(watch_link(Rc::clone(&desk), feed));
    // It ends with its last word, or with whoever holds it.
    if let Ok(said) = (&mut goodbye).await {
        desk.turn(Peers::say_goodbye);
        while !desk.peers.borrow().out.is_empty() {
            desk.published.notified().await;
        }
        // Whoever asked may have stopped waiting.
        let _ = said.send(());
    }
}

async fn carry<T>(desk: &Desk, bell: &Notify, way: mpsc::Sender<Vec<T>>, take: impl Fn(&mut Peers) -> Vec<T>) {
    loop {
        let parcel = take(&mut desk.peers.borrow_mut());
        if parcel.is_empty() {
            bell.notified().await;
        } else if way.send(parcel).await.is_ok() {
            desk.drained.notify_waiters();
        } else {
            return;
        }
    }
}

async fn take_ops(desk: Rc<Desk>, mut wire: mpsc::Receiver<Vec<crate::routing::Op>>) {
    while let Some(parcel) = wire.recv().await {
        desk.turn(|peers| parcel.into_iter().for_each(|op| peers.ask(op)));
    }
}

async fn take_deliveries(desk: Rc<Desk>, mut wire: mpsc::Receiver<Vec<crate::fanout::Delivery>>) {
    while let Some(parcel) = wire.recv().await {
        desk.turn(|peers| parcel.into_iter().for_each(|delivery| peers.deliver(delivery)));
    }
}

async fn take_pushes(desk: Rc<Desk>, mut pushes: mpsc::Receiver<Pushed>) {
    while let Some(pushed) = pushes.recv().await {
        match pushed {
            Pushed::Message { payload, .. } => read(&desk, &payload),
            Pushed::Interrupted => {
                desk.follows.set(desk.follows.get().map(|_| true));
                desk.turn(Peers::connected);
            }
        }
        // Shards that take no more questions: letters wait in the feed, whose bound is known.
        loop {
            let drained = desk.drained.notified();
            if !desk.is_clogged() {
                break;
            }
            drained.await;
        }
    }
}

fn read(desk: &Desk, payload: &Bytes) {
    match Letter::decode(payload) {
        Some(letter) => desk.turn(|peers| peers.received(letter)),
        None => desk.shared.metrics.node_letters_malformed.inc(),
    }
    tell_ready(desk);
}

fn tell_ready(desk: &Desk) {
    if desk.peers.borrow().is_acquainted() {
        desk.ready.send_if_modified(|ready| !std::mem::replace(ready, true));
    }
}

async fn sweep(desk: Rc<Desk>) {
    let mut timer = tokio::time::interval(SWEEP);
    timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        timer.tick().await;
        desk.turn(Peers::sweep);
    }
}

/// Follows both channels, and the state of the link from then on.
async fn watch_link(desk: Rc<Desk>, feed: Feed) {
    let mut state = desk.link.state();
    // Where it is not confirmed now it is done later, and the feed says so.
    let confirmed = feed.follow(vec![desk.all.clone().into_bytes(), desk.inbox.clone().into_bytes()]).await.confirmed().await.is_ok();
    desk.follows.set(Some(confirmed));
    loop {
        let is_up = matches!(&*state.borrow_and_update(), LinkState::Up { .. });
        if is_up {
            share_secret(&desk).await;
            desk.turn(Peers::connected);
        } else {
            desk.turn(Peers::disconnected);
        }
        let changed = state.wait_for(|state| matches!(state, LinkState::Up { .. }) != is_up).await.is_ok();
        if !changed {
            return;
        }
    }
}

/// Takes the secret that all nodes make resume keys by; makes it where there is none.
async fn share_secret(desk: &Desk) {
    #[cfg(any(test, feature = "sabotage"))]
    if desk.shared.sabotages(crate::sim::Sabotage::OwnSecret) {
        return;
    }
    let mut fresh = [0; 32];
    if getrandom::fill(&mut fresh).is_err() {
        return;
    }
    let mut ask = cmd("SET");
    ask.arg(format!("{}:secret", desk.shared.config.storage.redis.prefix)).arg(&fresh[..]).arg("NX").arg("GET");
    match desk.link.query(&ask).await {
        Ok(Value::BulkString(secret)) => desk.shared.resume_keys.adopt(&secret),
        Ok(Value::Nil) => desk.shared.resume_keys.adopt(&fresh),
        Ok(_) | Err(_) => tracing::warn!("the secret of resume keys cannot be shared: clients that come from another node begin anew"),
    }
}

/// Publishes what is said, in order, one letter at a time: what comes meanwhile gathers into the next.
async fn publish(desk: Rc<Desk>) {
    loop {
        let posts = std::mem::take(&mut desk.peers.borrow_mut().out);
        if posts.is_empty() {
            desk.published.notify_waiters();
            desk.publish.notified().await;
            continue;
        }
        let mut posts = posts.into_iter().peekable();
        while let Some(first) = posts.next() {
            let (to, mut said, mut numbers) = (first.to, vec![first.said.encode()], Vec::from_iter(first.number));
            let mut bytes = said[0].len();
            while let Some(Post { said: next, number, .. }) = posts.next_if(|next| next.to == to && bytes < LETTER_BYTES) {
                let next = Said::encode(&next);
                bytes += next.len();
                said.push(next);
                numbers.extend(number);
            }
            // Before this node is among those who receive, it is not known how many others there are, and their answers do not come.
            let counts = to == To::All && desk.follows.get() == Some(true);
            let receivers = send(&desk, to, &said).await;
            desk.turn(|peers| {
                if counts {
                    peers.receivers = receivers.or(peers.receivers);
                }
                for number in numbers {
                    peers.sent(number, receivers.is_some());
                }
            });
            tell_ready(&desk);
        }
    }
}

/// Looks up in Redis what topics it holds messages of, several at a time.
async fn look_up(desk: Rc<Desk>) {
    let searches = Rc::new(Semaphore::new(SEARCHES_AT_ONCE));
    loop {
        let lookups = std::mem::take(&mut desk.peers.borrow_mut().lookups);
        if lookups.is_empty() {
            desk.look_up.notified().await;
            continue;
        }
        for (number, lookup) in lookups {
            let (desk, searches) = (Rc::clone(&desk), Rc::clone(&searches));
            spawn_local(async move {
                let place = if matches!(lookup, Lookup::Topic(_)) { None } else { searches.acquire().await.ok() };
                // Whoever waited too long has its answer.
                if desk.peers.borrow().awaits(number) {
                    let held = held(&desk, lookup).await;
                    desk.turn(|peers| peers.looked_up(number, held.ok()));
                }
                drop(place);
            });
        }
    }
}

async fn held(desk: &Desk, lookup: Lookup) -> Result<Held, LinkError> {
    let prefix = &desk.shared.config.storage.redis.prefix;
    Ok(match lookup {
        Lookup::Topic(topic) => Held::Topics(holds(&desk.link, prefix, &topic).await?.then_some(topic).into_iter().collect()),
        Lookup::Pattern(pattern) => Held::Topics(search(&desk.link, prefix, &pattern).await?),
        Lookup::List(listing) => Held::Listed(list(&desk.link, prefix, &listing, page_len(listing.limit())).await?),
    })
}

/// Publishes one letter; gives how many received it, where Redis says so.
async fn send(desk: &Desk, to: To, said: &[String]) -> Option<u64> {
    let channel = match to {
        To::All => desk.all.clone(),
        To::Node(node) => format!("{}:{node}", desk.all),
    };
    let mut ask = cmd(if desk.link.is_cluster() { "SPUBLISH" } else { "PUBLISH" });
    ask.arg(channel).arg(Letter::encode(&desk.shared.node, said));
    match desk.link.query(&ask).await {
        Ok(Value::Int(receivers)) => u64::try_from(receivers).ok(),
        Ok(_) | Err(_) => {
            desk.shared.metrics.node_letters_failed.add(said.len() as u64);
            None
        }
    }
}
