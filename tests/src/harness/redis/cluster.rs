//! A Redis Cluster of three primaries.

use arqonbus_server::config;

use super::super::clock::eventually;
use super::{Redis, free_port, reached_by};

/// Three primaries that share the slots.
#[derive(Debug)]
pub struct Cluster {
    /// The primaries.
    pub nodes: Vec<Redis>,
    /// One of each, where there are any.
    pub replicas: Vec<Redis>,
}

/// The first and the last slot of each primary.
const SLOTS: [(&str, &str); 3] = [("0", "5460"), ("5461", "10922"), ("10923", "16383")];

impl Cluster {
    /// Starts one without replicas.
    pub async fn start() -> Self {
        Self::of(0, &[]).await
    }

    /// Starts one with a replica of each primary. Nobody takes over before he is told to.
    pub async fn with_replicas() -> Self {
        Self::of(3, &["cluster-replica-no-failover yes"]).await
    }

    /// Starts one with more lines of configuration for each primary.
    pub async fn of_primaries(lines: [&str; 3]) -> Self {
        Self::of(0, &lines).await
    }

    async fn of(replicas: usize, lines: &[&str]) -> Self {
        let (mut nodes, mut buses) = (Vec::new(), Vec::new());
        for at in 0..SLOTS.len() + replicas {
            let bus = free_port();
            let more = lines.get(at).or(lines.first()).copied().unwrap_or_default();
            nodes.push(node(bus, more).await);
            buses.push(bus.to_string());
        }
        for (epoch, (node, slots)) in (1..).zip(nodes.iter().zip(SLOTS)) {
            node.tell(&["CLUSTER", "ADDSLOTSRANGE", slots.0, slots.1]).await;
            node.tell(&["CLUSTER", "SET-CONFIG-EPOCH", &epoch.to_string()]).await;
        }
        for (node, bus) in nodes.iter().zip(&buses).skip(1) {
            nodes[0].tell(&["CLUSTER", "MEET", "127.0.0.1", &node.port().to_string(), bus]).await;
        }
        let replicas = nodes.split_off(SLOTS.len());
        let cluster = Self { nodes, replicas };
        cluster.is_whole().await;
        for (primary, replica) in cluster.nodes.iter().zip(&cluster.replicas) {
            let id: String = redis::from_redis_value(primary.tell(&["CLUSTER", "MYID"]).await).expect("a name");
            eventually("a primary that is known", async || replica.ask(&["CLUSTER", "REPLICATE", &id]).await.ok()).await;
            replica.in_sync().await;
        }
        cluster
    }

    /// Waits until every node knows of every slot.
    pub async fn is_whole(&self) {
        let known = format!("cluster_known_nodes:{}", self.nodes.len() + self.replicas.len());
        for node in self.nodes.iter().chain(&self.replicas) {
            eventually("a whole cluster", async || {
                let state: String = redis::from_redis_value(node.ask(&["CLUSTER", "INFO"]).await.ok()?).ok()?;
                (state.contains("cluster_state:ok") && state.contains("cluster_slots_ok:16384") && state.contains(&known)).then_some(())
            })
            .await;
        }
    }

    /// Lets the replica of a primary have nothing any more of what is written from now on.
    pub async fn leave_behind(&self, at: usize) {
        let (primary, replica) = (&self.nodes[at], &self.replicas[at]);
        let offset = async |server: &Redis| server.info("master_repl_offset").await;
        eventually("a replica that has everything", async || (offset(replica).await == offset(primary).await).then_some(())).await;
        primary.tell(&["ACL", "SETUSER", "default", "-psync", "-replconf"]).await;
        primary.cut("replica").await;
        eventually("a replica that is alone", async || (replica.info("master_link_status").await == "down").then_some(())).await;
    }

    /// Kills a primary, and lets its replica take its place with what it has.
    pub async fn fail_over(&mut self, at: usize) {
        self.nodes[at].kill();
        self.replicas[at].tell(&["CLUSTER", "FAILOVER", "TAKEOVER"]).await;
        eventually("the new primary", async || (self.replicas[at].info("role").await == "master").then_some(())).await;
    }

    /// Gives the slot of a topic from one primary to another, and loses what is in it.
    pub async fn move_topic(&self, topic: &str, from: usize, to: usize) {
        let (slot, key) = (self.slot(topic).await.to_string(), key(topic));
        let id: String = redis::from_redis_value(self.nodes[to].tell(&["CLUSTER", "MYID"]).await).expect("a name");
        let keys = ["", ":meta", ":ids:0", ":ids:1"].map(|end| format!("{key}{end}"));
        self.nodes[from].tell(&["DEL", &keys[0], &keys[1], &keys[2], &keys[3]]).await;
        for node in [to, from] {
            self.nodes[node].tell(&["CLUSTER", "SETSLOT", &slot, "NODE", &id]).await;
        }
    }

    async fn slot(&self, topic: &str) -> u64 {
        redis::from_redis_value(self.nodes[0].tell(&["CLUSTER", "KEYSLOT", &key(topic)]).await).expect("a number")
    }

    /// Which of the primaries kept a topic at first.
    pub async fn keeper(&self, topic: &str) -> usize {
        let slot = self.slot(topic).await;
        SLOTS.iter().position(|(_, last)| slot <= last.parse().expect("a number")).expect("a slot")
    }

    /// How a bus reaches it.
    #[must_use]
    pub fn config(&self) -> config::Redis {
        config::Redis { cluster: true, ..reached_by(self.nodes.iter().map(Redis::url).collect()) }
    }
}

async fn node(bus: u16, more: &str) -> Redis {
    let lines = [
        "save \"\"",
        "cluster-enabled yes",
        "cluster-config-file nodes.conf",
        "cluster-node-timeout 2000",
        "cluster-announce-ip 127.0.0.1",
        &format!("cluster-port {bus}"),
        more,
    ];
    Redis::with(&lines).await
}

/// The key of a topic's stream.
fn key(topic: &str) -> String {
    let (room, channel) = topic.split_once(':').expect("a topic");
    format!("{{arqonbus:room:{room}:channel:{channel}}}")
}
