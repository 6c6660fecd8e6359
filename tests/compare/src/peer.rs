//! The servers that are compared: child processes on loopback, each held to one core, each ended by its process id.

use std::fs;
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::clock::now_ns;
use crate::wire::Dialect;

/// How long a server may take to start.
const START_NS: u64 = 20_000_000_000;

/// A kind of server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kind {
    /// `arqonbus serve` with one shard.
    Arqon,
    /// With two.
    ArqonTwo,
    /// Another binary of ours, to be measured beside, one shard.
    Against,
    /// `nats-server` with its WebSocket.
    Nats,
    /// A bare loop over prebuilt frames.
    Bare,
}

/// Where the programs are.
#[derive(Debug, Clone)]
pub(crate) struct Programs {
    pub(crate) arqonbus: PathBuf,
    pub(crate) against: Option<PathBuf>,
    pub(crate) nats: Option<PathBuf>,
}

/// A running server.
pub(crate) struct Peer {
    pub(crate) kind: Kind,
    pub(crate) address: SocketAddr,
    pub(crate) child: Child,
    /// From the start of the process to its first handshake-able connection.
    pub(crate) start_ns: u64,
    config: Option<PathBuf>,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Arqon => "arqonbus",
            Self::ArqonTwo => "arqonbus, 2 shards",
            Self::Against => "arqonbus, the other binary",
            Self::Nats => "nats-server",
            Self::Bare => "bare loop",
        }
    }

    pub(crate) fn dialect(self) -> Dialect {
        match self {
            Self::Arqon | Self::ArqonTwo | Self::Against => Dialect::Arqon,
            Self::Nats => Dialect::Nats,
            Self::Bare => Dialect::Bare,
        }
    }
}

impl Programs {
    fn command(&self, kind: Kind, port: u16, config: &mut Option<PathBuf>) -> io::Result<Command> {
        let arqonbus = |program: &Path, shards: &str| {
            let mut command = Command::new(program);
            let listen = format!("127.0.0.1:{port}");
            command.args(["serve", "--listen", &listen, "--set", "admin=off", "--set", shards, "--set", "heartbeat_ms=3600000"]);
            command.args(["--set", "log.filter=warn"]);
            command
        };
        Ok(match kind {
            Kind::Arqon => arqonbus(&self.arqonbus, "shards=1"),
            Kind::ArqonTwo => arqonbus(&self.arqonbus, "shards=2"),
            Kind::Against => arqonbus(self.against.as_deref().expect("it is measured only where it is given"), "shards=1"),
            Kind::Nats => {
                let path = std::env::temp_dir().join(format!("arqonbus-compare-{}-{port}.conf", std::process::id()));
                let (client, program) = (free_port()?, self.nats.as_deref().expect("it is measured only where it is installed"));
                let websocket = format!("websocket {{ host: \"127.0.0.1\", port: {port}, no_tls: true, compression: false }}");
                fs::write(&path, format!("host: \"127.0.0.1\"\nport: {client}\nping_interval: \"1h\"\nmax_connections: 20000\n{websocket}\n"))?;
                let mut command = Command::new(program);
                command.arg("--config").arg(&path);
                *config = Some(path);
                command
            }
            Kind::Bare => {
                let mut command = Command::new(std::env::current_exe()?);
                command.args(["bare", &port.to_string()]);
                command
            }
        })
    }

    /// Starts a server and waits until it takes connections.
    pub(crate) fn start(&self, kind: Kind) -> Result<Peer, String> {
        let failed = |error: io::Error| format!("{}: {error}", kind.name());
        let port = free_port().map_err(failed)?;
        let mut config = None;
        let mut command = self.command(kind, port, &mut config).map_err(failed)?;
        let before = now_ns();
        // A child inherits where it may run.
        on_core(0);
        let spawned = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        on_core(1);
        let child = spawned.map_err(failed)?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut peer = Peer { kind, address, child, start_ns: 0, config };
        while TcpStream::connect(address).is_err() {
            if now_ns() - before > START_NS || peer.child.try_wait().is_ok_and(|ended| ended.is_some()) {
                return Err(format!("{} does not start", kind.name()));
            }
            std::thread::sleep(Duration::from_micros(200));
        }
        peer.start_ns = now_ns() - before;
        Ok(peer)
    }
}

impl Peer {
    /// Processor time that the server has used, system calls included.
    pub(crate) fn cpu_ns(&self) -> Result<u64, String> {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.child.id())).map_err(|error| error.to_string())?;
        let mut total = 0;
        for task in tasks.flatten() {
            let text = fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
            total += text.split(' ').next().and_then(|ns| ns.parse::<u64>().ok()).unwrap_or(0);
        }
        if total == 0 { Err("this kernel does not tell processor time (/proc/<pid>/task/*/schedstat)".into()) } else { Ok(total) }
    }

    /// Resident memory.
    pub(crate) fn resident_bytes(&self) -> Result<u64, String> {
        let text = fs::read_to_string(format!("/proc/{}/status", self.child.id())).map_err(|error| error.to_string())?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).and_then(|rest| rest.trim().strip_suffix(" kB"));
        line.and_then(|kb| kb.parse::<u64>().ok()).map(|kb| kb * 1024).ok_or_else(|| "VmRSS is not told".into())
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It may have ended by itself; there is nothing left to do then.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(path) = &self.config {
            let _ = fs::remove_file(path);
        }
    }
}

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// Whether servers and generator have a core each.
pub(crate) fn cores_are_apart() -> bool {
    on_core(1)
}

/// Holds this thread to one core of those it may use, or leaves it where that is not allowed.
fn on_core(core: usize) -> bool {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut set = CpuSet::new();
    set.set(core);
    let known = sched_getaffinity(None).is_ok_and(|now| now.count() > 1 || now.is_set(0) || now.is_set(1));
    (cores > 1 || known) && sched_setaffinity(None, &set).is_ok()
}

/// Looks for `nats-server` where programs are, and where Debian puts it.
pub(crate) fn find_nats() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/bin".into()]);
    places.map(|place| place.join("nats-server")).find(|program| program.is_file())
}

/// Says something to whoever watches the run.
pub(crate) fn say(text: &str) {
    // Where nobody can be told, the run goes on.
    let _ = writeln!(io::stderr(), "{text}");
}
