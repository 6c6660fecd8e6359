//! A node of a bus on Redis in the test's own process, as it should be or with a promise broken.

use std::net::SocketAddr;

use arqonbus_server::config::{self, Config, StorageKind};
use arqonbus_server::sim::{Sabotage, run_sabotaged};
use arqonbus_tests::harness::clock::eventually;
use arqonbus_tests::harness::redis::Redis;
use arqonbus_tests::harness::{Peer, Reach, quick};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// A running node. It ends when it is dropped.
pub(crate) struct Node {
    address: SocketAddr,
    shutdown: Option<oneshot::Sender<()>>,
    ended: Option<oneshot::Receiver<()>>,
}

impl Node {
    /// One of the bus whose logs `redis` keeps.
    pub(crate) fn of(redis: &Redis) -> Self {
        Self::sabotaged(redis, None)
    }

    pub(crate) fn sabotaged(redis: &Redis, sabotage: Option<Sabotage>) -> Self {
        Self::with(redis, sabotage, |_| {})
    }

    pub(crate) fn with(redis: &Redis, sabotage: Option<Sabotage>, change: impl FnOnce(&mut Config)) -> Self {
        Self::by(redis.config(), sabotage, |config| {
            config.storage.redis.head_check_ms = 1_000;
            config.history.messages = 100_000;
            change(config);
        })
    }

    /// One that reaches Redis in this way.
    pub(crate) fn by(redis: config::Redis, sabotage: Option<Sabotage>, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = quick();
        (config.storage.kind, config.storage.redis) = (StorageKind::Redis, redis);
        change(&mut config);
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.set_nonblocking(true).expect("a listener");
        let address = listener.local_addr().expect("a bound listener");
        let (shutdown, asked) = oneshot::channel::<()>();
        let (end, ended) = oneshot::channel::<()>();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async move {
                let listener = TcpListener::from_std(listener).expect("a listener");
                let asked = async move { drop(asked.await) };
                run_sabotaged(listener, config, sabotage, asked).await.expect("the bus ends well");
            });
            let _ = end.send(());
        });
        Self { address, shutdown: Some(shutdown), ended: Some(ended) }
    }

    /// Shuts it down and waits until it has.
    pub(crate) async fn stop(mut self) {
        drop(self.shutdown.take());
        let _ = self.ended.take().expect("stopped once").await;
    }
}

impl Reach for Node {
    fn address(&self) -> SocketAddr {
        self.address
    }
}

/// The payloads of all that a topic's history holds.
pub(crate) async fn history(bus: &impl Reach, topic: &str) -> Vec<Value> {
    let (room, channel) = topic.split_once(':').expect("a topic");
    let (mut peer, mut all, mut since) = (Peer::connect(bus).await, Vec::new(), Value::Null);
    loop {
        let page = peer.ok("history", json!({"room": room, "channel": channel, "since": since, "limit": 1_000})).await;
        all.extend(page["messages"].as_array().expect("messages").iter().map(|message| message["payload"].clone()));
        if page["next"].is_null() {
            return all;
        }
        since = page["next"].clone();
    }
}

/// Waits until the stores of all these say that they are in this state.
pub(crate) async fn all_are(state: &str, nodes: &[SocketAddr]) {
    for node in nodes {
        let mut peer = Peer::connect(node).await;
        eventually(state, async || (peer.ok("status", json!({})).await["storage"]["state"] == json!(state)).then_some(())).await;
    }
}
