//! Logs in Redis: kept, ordered, shared by nodes, and what is said when Redis loses them or is away.

mod cluster;
mod faults;
mod fence;
mod group_churn;
mod group_faults;
mod groups;
mod load;
mod outage;
mod suite;
mod thin;

use std::net::SocketAddr;

use arqonbus_server::config::{Config, StorageKind};
use arqonbus_server::sim::{Sabotage, run_sabotaged};
use arqonbus_tests::harness::redis::Redis;
use arqonbus_tests::harness::{Peer, Reach, quick};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// A node of a bus in the test's own process, as it should be or with a promise broken. It ends when it is dropped.
struct Node {
    address: SocketAddr,
    shutdown: Option<oneshot::Sender<()>>,
    ended: Option<oneshot::Receiver<()>>,
}

impl Node {
    /// One of the bus whose logs `redis` keeps.
    fn of(redis: &Redis) -> Self {
        Self::with(redis, None, |_| {})
    }

    fn sabotaged(redis: &Redis, sabotage: Option<Sabotage>) -> Self {
        Self::with(redis, sabotage, |_| {})
    }

    fn with(redis: &Redis, sabotage: Option<Sabotage>, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = quick();
        config.storage.kind = StorageKind::Redis;
        config.storage.redis = redis.config();
        config.storage.redis.head_check_ms = 1_000;
        config.history.messages = 100_000;
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
    async fn stop(mut self) {
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
async fn history(bus: &impl Reach, topic: &str) -> Vec<Value> {
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
