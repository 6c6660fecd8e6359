//! A bus inside the test's own process: quick to start, and configured as values.

use std::net::{Ipv4Addr, SocketAddr};

use arqonbus_server::config::{Config, Drain};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use super::Reach;
use super::clock::{PATIENCE, within};

/// A configuration for tests: two shards, so that topics and clients live apart; a free port; no admin listener; a drain without pauses.
#[must_use]
pub fn quick() -> Config {
    Config {
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        admin: None,
        shards: 2,
        drain: Drain { reconnect_window_ms: 100, notice_ms: 20, deadline_ms: 3_000 },
        ..Config::default()
    }
}

/// A running bus. Dropping it shuts it down without waiting for it.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    shutdown: Option<oneshot::Sender<()>>,
    ended: Option<oneshot::Receiver<()>>,
}

impl Server {
    /// Starts one as tests usually need it.
    #[must_use]
    pub fn start() -> Self {
        Self::with(|_| {})
    }

    /// Starts one with changes to [`quick`].
    #[must_use]
    pub fn with(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = quick();
        change(&mut config);
        Self::at(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), config)
    }

    /// Starts one at an address.
    #[must_use]
    pub fn at(address: SocketAddr, config: Config) -> Self {
        let listener = std::net::TcpListener::bind(address).expect("a free port");
        listener.set_nonblocking(true).expect("a listener");
        let address = listener.local_addr().expect("a bound listener");
        let (shutdown, asked) = oneshot::channel::<()>();
        let (end, ended) = oneshot::channel::<()>();
        std::thread::Builder::new()
            .name("bus".into())
            .spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
                runtime.block_on(async move {
                    let listener = TcpListener::from_std(listener).expect("a listener");
                    let asked = async move {
                        let _ = asked.await;
                    };
                    if let Err(error) = arqonbus_server::run(listener, config, asked).await {
                        panic!("the bus ended: {error:?}");
                    }
                });
                let _ = end.send(());
            })
            .expect("a thread");
        Self { address, shutdown: Some(shutdown), ended: Some(ended) }
    }

    /// Asks for a drain, without waiting for it.
    pub fn drain(&mut self) {
        if let Some(shutdown) = self.shutdown.take() {
            let _ = shutdown.send(());
        }
    }

    /// Shuts down and waits until it has.
    pub async fn stop(mut self) {
        self.drain();
        let ended = self.ended.take().expect("stopped once");
        within(PATIENCE, "the end of the bus", ended).await.expect("the bus ends without a panic");
    }
}

impl Reach for Server {
    fn address(&self) -> SocketAddr {
        self.address
    }
}
