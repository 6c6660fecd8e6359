//! Redis servers as processes of their own, on ports of their own: what they keep, suffer, and answer is the test's to say.

mod cluster;
mod sentinel;
mod tls;

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use arqonbus_server::config;
use redis::{Client, ProtocolVersion, Value};
use rustix::process::{Pid, Signal, kill_process};

use super::Scratch;
use super::clock::eventually;
pub use cluster::Cluster;
pub use sentinel::Sentinels;
pub use tls::Tls;

/// A running redis-server. Dropping it kills it; what it wrote is gone with it.
#[derive(Debug)]
pub struct Redis {
    child: Option<Child>,
    port: u16,
    scratch: Arc<Scratch>,
    /// Certificates, where it is reached by TLS only.
    tls: Option<Tls>,
    /// A user and password that the harness itself uses.
    login: Option<(String, String)>,
}

impl Redis {
    /// Starts one that keeps nothing.
    pub async fn start() -> Self {
        Self::with(&["save \"\""]).await
    }

    /// Starts one with an append-only file, forced to disk `always`, `everysec` or `no`.
    pub async fn append_only(fsync: &str) -> Self {
        Self::with(&["save \"\"", "appendonly yes", &format!("appendfsync {fsync}")]).await
    }

    /// Starts one that follows `primary`.
    pub async fn replica_of(primary: &Self) -> Self {
        let replica = Self::with(&["save \"\"", &format!("replicaof 127.0.0.1 {}", primary.port)]).await;
        replica.in_sync().await;
        replica
    }

    /// Starts one that only `user` may use, by `password`, for what `rules` of an ACL say.
    pub async fn for_user(user: &str, password: &str, rules: &str) -> Self {
        let user_line = format!("user {user} on >{password} {rules}");
        Self::spawned(&["save \"\"", "user default off", "user harness on >harness ~* &* +@all", &user_line], None, Some(("harness", "harness")))
            .await
    }

    /// Starts one that is reached by TLS only.
    pub async fn by_tls(tls: &Tls) -> Self {
        Self::spawned(&["save \"\""], Some(tls.clone()), None).await
    }

    /// Starts one with these lines of configuration.
    pub async fn with(lines: &[&str]) -> Self {
        Self::spawned(lines, None, None).await
    }

    async fn spawned(lines: &[&str], tls: Option<Tls>, login: Option<(&str, &str)>) -> Self {
        let (scratch, port) = (Arc::new(Scratch::in_memory()), free_port());
        let ports = match &tls {
            Some(tls) => format!("port 0\ntls-port {port}\n{}", tls.lines()),
            None => format!("port {port}\n"),
        };
        let config = format!(
            "bind 127.0.0.1\ndir {}\n{ports}enable-debug-command yes\nrepl-diskless-sync-delay 0\n{}\n",
            scratch.path().display(),
            lines.join("\n")
        );
        fs::write(scratch.path().join("redis.conf"), config).expect("a configuration file");
        let login = login.map(|(user, password)| (user.to_owned(), password.to_owned()));
        let mut redis = Self { child: None, port, scratch, tls, login };
        redis.restart().await;
        redis
    }

    /// Starts it again, with what it has on disk; kills it first where it still runs.
    pub async fn restart(&mut self) {
        self.kill();
        self.child = Some(launch(self.scratch.path(), "redis.conf", &[]));
        self.answers().await;
    }

    /// Kills it as a power cut would.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Stops it where it stands: connections stay open, and nothing is answered.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on after [`Redis::pause`].
    pub fn go_on(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().expect("it runs");
        kill_process(Pid::from_raw(child.id().cast_signed()).expect("a process id"), signal).expect("it runs");
    }

    /// The process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    /// Its port on the loopback address.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where it keeps its files.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.scratch.path()
    }

    /// Its address as a URL.
    #[must_use]
    pub fn url(&self) -> String {
        let (scheme, port) = (if self.tls.is_some() { "rediss" } else { "redis" }, self.port);
        format!("{scheme}://127.0.0.1:{port}")
    }

    /// How a bus reaches it.
    #[must_use]
    pub fn config(&self) -> config::Redis {
        reached_by(vec![self.url()])
    }

    /// The storage section of a bus that uses it, as lines of a configuration file.
    #[must_use]
    pub fn lines(&self) -> String {
        format!("[storage]\nkind = \"redis\"\n[storage.redis]\nurls = [\"{}\"]\n", self.url())
    }

    /// Asks it something; words as they would be typed.
    ///
    /// # Errors
    /// In its own words.
    pub async fn ask(&self, words: &[&str]) -> Result<Value, String> {
        let info = redis::IntoConnectionInfo::into_connection_info(self.url()).expect("an address");
        let mut login = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
        if let Some((user, password)) = &self.login {
            login = login.set_username(user).set_password(password);
        }
        let info = info.set_redis_settings(login);
        let client = match &self.tls {
            Some(tls) => Client::build_with_tls(info, tls.certificates()),
            None => Client::open(info),
        };
        let settings = redis::AsyncConnectionConfig::new().set_response_timeout(Some(super::clock::PATIENCE));
        let connection = client.map_err(|error| error.to_string())?.get_multiplexed_async_connection_with_config(&settings).await;
        let mut connection = connection.map_err(|error| error.to_string())?;
        let mut command = redis::cmd(words.first().expect("a command"));
        command.arg(&words[1..]);
        command.query_async(&mut connection).await.map_err(|error| error.to_string())
    }

    /// Asks it something that it must carry out.
    pub async fn tell(&self, words: &[&str]) -> Value {
        self.ask(words).await.unwrap_or_else(|error| panic!("{words:?}: {error}\n{}", self.log()))
    }

    /// Changes its configuration while it runs.
    pub async fn set(&self, name: &str, value: &str) {
        self.tell(&["CONFIG", "SET", name, value]).await;
    }

    /// Forgets everything.
    pub async fn flush_all(&self) {
        self.tell(&["FLUSHALL"]).await;
    }

    /// Makes a primary of a replica, whatever it has by now.
    pub async fn promote(&self) {
        self.tell(&["REPLICAOF", "NO", "ONE"]).await;
    }

    /// Makes a replica of `primary` of it: it gives up what it has for what that one has.
    pub async fn demote(&self, primary: &Self) {
        self.tell(&["REPLICAOF", "127.0.0.1", &primary.port.to_string()]).await;
    }

    /// Closes the connections of a kind: `normal` or `pubsub`.
    pub async fn cut(&self, kind: &str) {
        self.tell(&["CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes"]).await;
    }

    /// One line of `INFO`.
    pub async fn info(&self, name: &str) -> String {
        let text: String = redis::from_redis_value(self.tell(&["INFO", "everything"]).await).expect("text");
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap_or_else(|| panic!("no {name} in INFO"));
        line.to_owned()
    }

    /// Waits until a replica has all that its primary has.
    pub async fn in_sync(&self) {
        eventually("a replica that follows its primary", async || (self.info("master_link_status").await == "up").then_some(())).await;
    }

    /// What it logged.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.scratch.path().join("redis.conf.log")).unwrap_or_default()
    }

    async fn answers(&mut self) {
        eventually("an answer of redis-server", async || {
            let ended = self.child.as_mut().and_then(|child| child.try_wait().ok().flatten());
            assert!(ended.is_none(), "redis-server ended: {}", self.log());
            self.ask(&["PING"]).await.ok()
        })
        .await;
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}

/// How a test's bus reaches Redis: it comes back soon.
fn reached_by(urls: Vec<String>) -> config::Redis {
    config::Redis { urls, backoff_min_ms: 5, backoff_max_ms: 100, ..config::Redis::default() }
}

/// A port that nobody has right now, of those that the system gives to nobody who connects: it is free until the server has it. Tests run side by side,
/// in several processes, so each begins elsewhere.
fn free_port() -> u16 {
    const FIRST: u16 = 10_000;
    const PORTS: u32 = 20_000;
    static TAKEN: AtomicU32 = AtomicU32::new(0);
    let begin = std::process::id().wrapping_mul(7_919);
    for _ in 0..PORTS {
        let at = begin.wrapping_add(TAKEN.fetch_add(1, Relaxed)) % PORTS;
        let port = FIRST + u16::try_from(at).expect("below the number of ports");
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no port is free")
}

/// Starts the program with a configuration file in `directory`; what it says goes beside it.
fn launch(directory: &Path, config: &str, flags: &[&str]) -> Child {
    let log = fs::OpenOptions::new().create(true).append(true).open(directory.join(format!("{config}.log"))).expect("a log file");
    let program = std::env::var_os("ARQONBUS_REDIS_SERVER").map_or_else(|| PathBuf::from("redis-server"), PathBuf::from);
    let mut command = Command::new(&program);
    command.arg(directory.join(config)).args(flags).stdin(Stdio::null()).stdout(log).stderr(Stdio::null());
    command.spawn().unwrap_or_else(|error| {
        panic!("{} cannot be started ({error}): `cargo xtask test redis` installs it, or set ARQONBUS_REDIS_SERVER", program.display())
    })
}
