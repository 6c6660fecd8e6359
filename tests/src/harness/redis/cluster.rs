//! A Redis Cluster of three primaries.

use arqonbus_server::config;

use super::super::clock::eventually;
use super::{Redis, free_port, reached_by};

/// Three primaries that share the slots.
#[derive(Debug)]
pub struct Cluster {
    /// The primaries.
    pub nodes: Vec<Redis>,
}

impl Cluster {
    /// Starts one.
    pub async fn start() -> Self {
        let mut nodes = Vec::new();
        let mut buses = Vec::new();
        for _ in 0..3 {
            let bus = free_port();
            let lines = [
                "save \"\"",
                "cluster-enabled yes",
                "cluster-config-file nodes.conf",
                "cluster-node-timeout 2000",
                "cluster-announce-ip 127.0.0.1",
                &format!("cluster-port {bus}"),
            ];
            nodes.push(Redis::with(&lines).await);
            buses.push(bus.to_string());
        }
        for (epoch, (node, slots)) in (1..).zip(nodes.iter().zip([("0", "5460"), ("5461", "10922"), ("10923", "16383")])) {
            node.tell(&["CLUSTER", "ADDSLOTSRANGE", slots.0, slots.1]).await;
            node.tell(&["CLUSTER", "SET-CONFIG-EPOCH", &epoch.to_string()]).await;
        }
        for (node, bus) in nodes.iter().zip(&buses).skip(1) {
            nodes[0].tell(&["CLUSTER", "MEET", "127.0.0.1", &node.port().to_string(), bus]).await;
        }
        let cluster = Self { nodes };
        cluster.is_whole().await;
        cluster
    }

    /// Waits until every node knows of every slot.
    pub async fn is_whole(&self) {
        for node in &self.nodes {
            eventually("a whole cluster", async || {
                let state: String = redis::from_redis_value(node.ask(&["CLUSTER", "INFO"]).await.ok()?).ok()?;
                (state.contains("cluster_state:ok") && state.contains("cluster_slots_ok:16384") && state.contains("cluster_known_nodes:3"))
                    .then_some(())
            })
            .await;
        }
    }

    /// How a bus reaches it.
    #[must_use]
    pub fn config(&self) -> config::Redis {
        config::Redis { cluster: true, ..reached_by(self.nodes.iter().map(Redis::url).collect()) }
    }
}
