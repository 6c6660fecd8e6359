//! Hostile input on raw sockets: the table of `docs/guarantees.md`, row by row. After each row the process lives and a bystander publishes and
//! receives; in the end no file descriptor has leaked and nothing has panicked.

mod frames;
mod handshake;
mod json;
mod names;
mod operations;
mod resources;
mod silence;

use std::net::SocketAddr;

use arqonbus_tests::harness::{Peer, Process, Reach, clock::eventually, observe};
use serde_json::json;

/// A bus under attack, and a bystander who must not notice.
pub(crate) struct Arena {
    process: Process,
    bystander: Peer,
    fds: usize,
    threads: usize,
    probes: u64,
}

impl Arena {
    /// Starts a bus with this configuration.
    pub(crate) async fn open(config: &str) -> Self {
        let process = Process::start(config);
        let mut arena = Self { bystander: Peer::joined(&process, "bystander:topic").await, process, fds: 0, threads: 0, probes: 0 };
        arena.probe("the beginning").await;
        arena.fds = observe::fds(arena.process.pid());
        arena.threads = observe::threads(arena.process.pid());
        arena
    }

    /// Lives the process, and does a publish come through?
    pub(crate) async fn probe(&mut self, row: &str) {
        assert!(self.process.is_alive(), "{row}: the process is gone:\n{}", self.process.log());
        self.probes += 1;
        self.bystander.publish("bystander:topic", json!(self.probes)).await;
        assert_eq!(self.bystander.message().await["payload"], self.probes, "{row}");
    }

    /// Checks what must hold after everything, when no client but the bystander is left.
    pub(crate) async fn close(self) {
        let (pid, before) = (self.process.pid(), self.fds);
        eventually("all file descriptors given back", async || (observe::fds(pid) <= before).then_some(())).await;
        assert_eq!(observe::threads(pid), self.threads, "threads come and go");
        let log = self.process.log();
        assert!(!log.contains("panicked"), "{log}");
        assert!(!log.contains('\u{1b}'), "escape sequences in the log: {log}");
    }
}

impl Reach for Arena {
    fn address(&self) -> SocketAddr {
        self.process.address()
    }
}
