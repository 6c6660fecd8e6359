//! A primary with a replica, and three sentinels that watch them.

use std::fs;
use std::process::Child;

use arqonbus_server::config;

use super::super::Scratch;
use super::super::clock::eventually;
use super::{Redis, free_port, launch, reached_by};

const NAME: &str = "bus";

/// A primary, a replica, and three sentinels.
#[derive(Debug)]
pub struct Sentinels {
    /// The primary, then the replica, as they were at first.
    pub servers: Vec<Redis>,
    ports: Vec<u16>,
    children: Vec<Child>,
    _scratch: Scratch,
}

impl Sentinels {
    /// Starts them.
    pub async fn start() -> Self {
        let primary = Redis::start().await;
        let replica = Redis::replica_of(&primary).await;
        let scratch = Scratch::new();
        let (mut ports, mut children) = (Vec::new(), Vec::new());
        for _ in 0..3 {
            let port = free_port();
            let lines = format!(
                "bind 127.0.0.1\nport {port}\ndir {}\nsentinel monitor {NAME} 127.0.0.1 {} 2\nsentinel down-after-milliseconds {NAME} 500\n\
                 sentinel failover-timeout {NAME} 4000\nsentinel parallel-syncs {NAME} 1\n",
                scratch.path().display(),
                primary.port()
            );
            let file = format!("sentinel-{port}.conf");
            fs::write(scratch.path().join(&file), lines).expect("a configuration file");
            children.push(launch(scratch.path(), &file, &["--sentinel"]));
            ports.push(port);
        }
        let sentinels = Self { servers: vec![primary, replica], ports, children, _scratch: scratch };
        sentinels.agree().await;
        sentinels
    }

    /// Waits until every sentinel knows the replica and the other sentinels.
    async fn agree(&self) {
        for port in &self.ports {
            eventually("sentinels that know each other", async || {
                let client = redis::Client::open(format!("redis://127.0.0.1:{port}")).ok()?;
                let mut connection = client.get_multiplexed_async_connection().await.ok()?;
                let mut ask = redis::cmd("SENTINEL");
                let state: std::collections::HashMap<String, String> = ask.arg("MASTER").arg(NAME).query_async(&mut connection).await.ok()?;
                let count = |name: &str| state.get(name).and_then(|count| count.parse::<u32>().ok());
                (count("num-slaves") == Some(1) && count("num-other-sentinels") == Some(2)).then_some(())
            })
            .await;
        }
    }

    /// How a bus reaches the primary through them.
    #[must_use]
    pub fn config(&self) -> config::Redis {
        let urls = self.ports.iter().map(|port| format!("redis://127.0.0.1:{port}")).collect();
        config::Redis { sentinel_master: NAME.into(), ..reached_by(urls) }
    }
}

impl Drop for Sentinels {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
