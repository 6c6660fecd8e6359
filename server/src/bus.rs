//! The bus: shards behind listeners. This page names every stage once, in order.
//!
//! ```text
//! Frame ─▶ Envelope ─▶ Command ─▶ Lane ─▶ Entry ─▶ Delivery ─▶ Frame
//! transport  session   commands  routing  storage   fanout    transport
//! ```

use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};

use crate::admin::{Phase, Readiness};
use crate::config::Config;
use crate::peers;
use crate::shard::{self, Control, HttpJob, Incoming, Shard, Wires};
use crate::shared::Shared;
use crate::storage::redis::{Link, LinkError, OpenError};
use crate::telemetry::{Activity, Metrics, Signal, Telemetry};
use crate::transport::listener;
use crate::transport::surface::{Surface, router};

mod stores;
mod voice;

/// How long the last word to other nodes may take.
const GOODBYE: Duration = Duration::from_millis(500);

/// Why a bus could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The system gave no random numbers.
    #[error("the system gives no random numbers: {0}")]
    Random(#[from] getrandom::Error),
    /// Redis cannot be reached with this configuration.
    #[error("the store cannot be used: {0}")]
    Store(#[from] OpenError),
    /// A shard's thread could not be started.
    #[error("a shard could not be started: {0}")]
    Thread(#[from] std::io::Error),
}

impl From<peers::StartError> for StartError {
    fn from(error: peers::StartError) -> Self {
        match error {
            peers::StartError::Thread(error) => Self::Thread(error),
            peers::StartError::Open(error) => Self::Store(error),
        }
    }
}

/// Why [`run`] ended other than by its shutdown.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// It could not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// Redis is away, and the bus may not start without it.
    #[error("the store cannot be reached: {0}; set storage.redis.start_without to start all the same")]
    Store(#[from] LinkError),
    /// The listener has no address.
    #[error("the listener failed: {0}")]
    Listen(#[from] std::io::Error),
    /// Everybody could connect from anywhere, and nobody said that they may.
    #[error("{0} is not a loopback address and no credentials are asked for; set allow_public_without_auth to serve it all the same")]
    Public(std::net::SocketAddr),
}

/// A running bus. Dropping it ends it at once; [`Bus::drain`] ends it well.
pub struct Bus {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) shared: Arc<Shared>,
    shards: Vec<Shard>,
    /// Connections placed on each shard.
    loads: Arc<Vec<AtomicUsize>>,
    /// The shard that stands for the other nodes, until it has said goodbye.
    peers: Mutex<Option<peers::post::Running>>,
    /// The way to Redis, where logs are kept there.
    link: Option<Link>,
}

/// Serves the bus on `listener` until `shutdown` resolves, then drains it.
///
/// Call it within a tokio runtime. The configuration's `listen` and `admin` are not looked at: the caller owns the listeners.
///
/// # Errors
/// Where threads or random numbers cannot be had, or the listener is open to the world without leave.
///
/// ```
/// use arqonbus_server::{config::Config, run};
/// # tokio::runtime::Runtime::new()?.block_on(async {
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
/// let mut config = Config::default();
/// config.drain.notice_ms = 0;
/// run(listener, config, async { /* until a signal comes */ }).await?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub async fn run(listener: TcpListener, config: Config, shutdown: impl Future<Output = ()>) -> Result<(), RunError> {
    let bus = Bus::start(config)?;
    bus.serve(listener, shutdown).await?;
    bus.drain().await;
    Ok(())
}

/// The same with a promise broken.
#[cfg(feature = "sabotage")]
pub(crate) async fn run_sabotaged(
    listener: TcpListener,
    config: Config,
    sabotage: Option<crate::sim::Sabotage>,
    shutdown: impl Future<Output = ()>,
) -> Result<(), RunError> {
    let bus = Bus::start_as(config, |shared| shared.sabotage = sabotage)?;
    bus.serve(listener, shutdown).await?;
    bus.drain().await;
    Ok(())
}

impl Bus {
    /// Starts the shards. To be called within a tokio runtime, which carries what is not a shard's: HTTP, telemetry.
    ///
    /// # Errors
    /// Where threads or random numbers cannot be had.
    pub fn start(config: Config) -> Result<Self, StartError> {
        Self::start_as(config, |_| {})
    }

    fn start_as(config: Config, change: impl FnOnce(&mut Shared)) -> Result<Self, StartError> {
        let metrics = Arc::new(Metrics::default());
        let (telemetry, stream) = Telemetry::new(Arc::clone(&metrics), &config.telemetry);
        let shards = match config.shards {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            shards => shards,
        };
        let mut shared = Shared::new(config, shards, metrics, telemetry, Arc::new(Readiness::default()))?;
        change(&mut shared);
        let shared = Arc::new(shared);
        let (makes, link) = stores::stores(&shared)?;
        let mut makes = makes.into_iter();
        let (mut ways, wires): (Vec<_>, Vec<_>) = (0..shards).map(|_| Wires::new()).unzip();
        let peers = match shared.abroad {
            Some(_) => {
                let (way, wires) = Wires::new();
                let peers = peers::post::spawn(Arc::clone(&shared), wires, ways.clone())?;
                ways.push(way);
                Some(peers)
            }
            None => None,
        };
        let shards = (0..).zip(wires).map(|(id, wires)| {
            let store = makes.next().expect("there is a store for each shard");
            shard::spawn(id, Arc::clone(&shared), wires, ways.clone(), store)
        });
        let shards: Vec<Shard> = shards.collect::<Result<_, _>>()?;
        let loads = Arc::new(shards.iter().map(|_| AtomicUsize::new(0)).collect());
        let bus = Self { inner: Arc::new(Inner { shared, shards, loads, peers: Mutex::new(peers), link }) };
        bus.begin_telling(stream);
        bus.inner.shared.readiness.enter(Phase::Ready);
        Ok(bus)
    }

    /// Waits until this node knows the others that share its store, at most as long as they may take to answer. To be done before clients are served:
    /// what they ask is then asked of everybody.
    pub async fn meet(&self) {
        #[cfg(any(test, feature = "sabotage"))]
        if self.inner.shared.sabotages(crate::sim::Sabotage::ServeUnacquainted) {
            return;
        }
        let peers = self.inner.peers.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(peers::post::Running::readiness);
        if let Some(ready) = peers {
            let redis = &self.inner.shared.config.storage.redis;
            ready.wait(Duration::from_millis(redis.connect_ms + redis.node_answer_ms)).await;
        }
    }

    /// The HTTP and WebSocket surface, to be mounted into an axum application of your own.
    ///
    /// `/` and `/v1/ws` take WebSocket handshakes, `POST /v1/envelopes` envelopes, `GET /v1/schema` gives the schema. Serve it with a
    /// header time-out, as [`Bus::serve`] does: axum's own `serve` has none.
    pub fn router(&self) -> axum::Router {
        let (serving, asking) = (Arc::clone(&self.inner), Arc::clone(&self.inner));
        router(Surface {
            shared: Arc::clone(&self.inner.shared),
            serve: Arc::new(move |incoming| serving.place(incoming)),
            ask: Some(Arc::new(move |job| asking.ask(job))),
        })
    }

    /// Serves the surface on `listener` until `shutdown` resolves. Connections that are open then stay open.
    ///
    /// # Errors
    /// Where the listener has no address, or one that is open to the world without leave; or where the store is out of reach and must not be.
    pub async fn serve(&self, listener: TcpListener, shutdown: impl Future<Output = ()>) -> Result<(), RunError> {
        let listen = listener.local_addr()?;
        if !listen.ip().is_loopback() && !self.inner.shared.config.allow_public_without_auth {
            return Err(RunError::Public(listen));
        }
        stores::found(&self.inner.shared, self.inner.link.as_ref()).await?;
        self.meet().await;
        self.inner.shared.telemetry.tell(&Signal::Started { listen });
        listener::accept(listener, self.router(), Arc::clone(&self.inner.shared), shutdown).await;
        Ok(())
    }

    /// What an operator's dashboard reads.
    #[must_use]
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.inner.shared.metrics
    }

    /// Whether the bus takes new work.
    #[must_use]
    pub fn readiness(&self) -> &Arc<Readiness> {
        &self.inner.shared.readiness
    }

    /// Ends the bus well: tells every client when to come back, gives the answers that are owed, closes connections in slices. Takes at
    /// most the configured deadline.
    pub async fn drain(self) {
        let shared = &self.inner.shared;
        shared.telemetry.tell(&Signal::Draining { connections: shared.metrics.connections.value() });
        shared.drain();
        let drain = &shared.config.drain;
        let (notice, deadline) = (Duration::from_millis(drain.notice_ms), Duration::from_millis(drain.deadline_ms));
        let closed = async {
            self.inner.tell_shards(|| Control::AnnounceDrain).await;
            tokio::time::sleep(notice).await;
            let mut waits = Vec::new();
            for shard in &self.inner.shards {
                let (done, closed) = oneshot::channel();
                if shard.controls.send(Control::CloseAll(done)).await.is_ok() {
                    waits.push(closed);
                }
            }
            for closed in waits {
                // A shard that is gone has no connections.
                let _ = closed.await;
            }
        };
        let _ = tokio::time::timeout(deadline, closed).await;
        shared.telemetry.tell(&Signal::Drained { cut: shared.metrics.connections.value() });
        let peers = self.inner.peers.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(peers) = peers {
            peers.say_goodbye(GOODBYE).await;
        }
        self.inner.tell_shards(|| Control::Stop).await;
    }

    /// Publishes what telemetry tells on the bus itself.
    fn begin_telling(&self, stream: Option<mpsc::Receiver<Activity>>) {
        if let Some(stream) = stream {
            tokio::spawn(voice::speak(Arc::clone(&self.inner.shared), self.inner.controls(), stream));
        }
    }
}

impl Inner {
    fn controls(&self) -> Vec<mpsc::Sender<Control>> {
        self.shards.iter().map(|shard| shard.controls.clone()).collect()
    }

    async fn tell_shards(&self, control: impl Fn() -> Control) {
        for shard in &self.shards {
            // A shard that is gone needs no telling.
            let _ = shard.controls.send(control()).await;
        }
    }

    /// Hands a socket to the shard with the fewest connections.
    fn place(&self, mut incoming: Incoming) -> bool {
        let counts = self.loads.iter().map(|load| load.load(Relaxed));
        let Some((at, _)) = counts.enumerate().min_by_key(|(_, load)| *load) else { return false };
        self.loads[at].fetch_add(1, Relaxed);
        incoming.place = Some(Box::new(Load { loads: Arc::clone(&self.loads), at, _within: incoming.place }));
        self.shards[at].controls.try_send(Control::Serve(incoming)).is_ok()
    }

    /// Hands envelopes to some shard; gives them back where it takes no more.
    fn ask(&self, job: HttpJob) -> Result<(), HttpJob> {
        let at = usize::try_from(self.shared.random()).unwrap_or(0) % self.shards.len();
        self.shards[at].controls.try_send(Control::Http(job)).map_err(|error| match error.into_inner() {
            Control::Http(job) => job,
            Control::Serve(_) | Control::Ask(_) | Control::AnnounceDrain | Control::CloseAll(_) | Control::Stop => {
                unreachable!("it gives back what it was given")
            }
        })
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        for shard in &mut self.shards {
            // Where its queue is full, the thread ends once the queue is gone.
            let _ = shard.controls.try_send(Control::Stop);
            if let Some(thread) = shard.thread.take() {
                drop(thread);
            }
        }
    }
}

/// Counts a connection on its shard for as long as it lasts.
struct Load {
    loads: Arc<Vec<AtomicUsize>>,
    at: usize,
    _within: Option<crate::fanout::Place>,
}

impl Drop for Load {
    fn drop(&mut self) {
        self.loads[self.at].fetch_sub(1, Relaxed);
    }
}
