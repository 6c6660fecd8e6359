//! What a Redis server says about itself, and what an operator should be told about it.

use std::fmt;

use ::redis::{RedisResult, Value, cmd, from_redis_value_ref};

use super::way::Connection;

/// What the servers at the other end are: one, or each primary of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// In no order that means something.
    pub servers: Vec<ServerFacts>,
}

/// One server, as it was when it was last asked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ServerFacts {
    /// Such as `7.0.15`; for Valkey the version of Redis that it is compatible with.
    pub version: String,
    /// Whether it takes writes: a primary that has its data in memory.
    pub writable: bool,
    /// Names its incarnation; another one means that its past may be another.
    pub replid: String,
    /// What it does when its memory is full, where it says so.
    pub maxmemory_policy: String,
    /// Whether it writes an append-only file.
    pub append_only: bool,
    /// Whether that file is known to hold all data: one that was begun while the server ran does once it has been written anew.
    pub append_only_whole: bool,
    /// When that file is forced to disk; `None` where it does not say.
    pub fsync: Option<Fsync>,
    /// Whether that waits while the file, or a snapshot, is written anew.
    pub fsync_pauses: bool,
    /// Whether it writes snapshots; `None` where it does not say.
    pub snapshots: Option<bool>,
    /// Replicas that are connected.
    pub replicas: u32,
}

/// When an append-only file is forced to disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fsync {
    /// Before a write is answered.
    Always,
    /// Every second.
    EverySecond,
    /// When the system likes.
    No,
}

/// What an operator should know, or change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Advice {
    /// Its scripts lack what this store needs.
    TooOld(String),
    /// History would disappear without a word, and its ids before it.
    Evicts(String),
    /// Nothing is written to disk: a restart of Redis is the end of history.
    KeepsNothing,
    /// A restart of Redis loses what came after the last snapshot.
    SnapshotsOnly,
    /// It does not say when its file is forced to disk, so acks say the weaker `redis`.
    FsyncUnknown,
    /// Fewer replicas than a message must have before it is acknowledged: none is.
    TooFewReplicas {
        /// How many it must have.
        wanted: u32,
        /// Those of the server that has the fewest.
        connected: u32,
    },
    /// It forces its file to disk always but while it writes another, so acks say the weaker `redis`.
    FsyncPauses,
}

impl Advice {
    /// Whether the store must not be used so.
    #[must_use]
    pub fn is_fatal(&self) -> bool {
        match self {
            Self::TooOld(_) => true,
            Self::Evicts(_) | Self::KeepsNothing | Self::SnapshotsOnly | Self::FsyncUnknown | Self::TooFewReplicas { .. } | Self::FsyncPauses => {
                false
            }
        }
    }
}

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooOld(version) => write!(f, "Redis {version} is too old: 7.0 or newer is needed"),
            Self::Evicts(policy) => write!(
                f,
                "maxmemory-policy is {policy}: Redis may throw history away when its memory is full, and nobody would be told; set it to noeviction"
            ),
            Self::KeepsNothing => f.write_str("Redis writes nothing to disk: its restart loses all history; set appendonly yes"),
            Self::SnapshotsOnly => f.write_str(
                "Redis writes snapshots only: its restart loses what came after the last one, although it was acknowledged; set appendonly yes",
            ),
            Self::FsyncUnknown => {
                f.write_str("Redis does not say what appendfsync is (the user may not CONFIG GET): acks say redis, never redis_fsync")
            }
            Self::TooFewReplicas { wanted, connected } => {
                write!(
                    f,
                    "wait_replicas is {wanted} and a primary has {connected} replicas: no message that it keeps is acknowledged until it has more"
                )
            }
            Self::FsyncPauses => f.write_str(
                "no-appendfsync-on-rewrite is on: while Redis writes its file anew, appendfsync always does not hold; acks say redis, never redis_fsync",
            ),
        }
    }
}

impl Facts {
    /// Whether every server takes writes.
    #[must_use]
    pub fn are_writable(&self) -> bool {
        !self.servers.is_empty() && self.servers.iter().all(|server| server.writable)
    }

    /// Whether what is acknowledged has been forced to disk on whichever server it is.
    #[must_use]
    pub fn fsync_always(&self) -> bool {
        !self.servers.is_empty() && self.servers.iter().all(ServerFacts::fsync_always)
    }

    /// Takes over what was known of the same servers before, and does not show at every time.
    pub(super) fn follow(&mut self, before: &Self) {
        for server in &mut self.servers {
            let known = before.servers.iter().any(|known| known.replid == server.replid && known.append_only_whole);
            server.append_only_whole |= server.append_only && known;
        }
    }

    /// What the operator should be told, each once.
    #[must_use]
    pub fn advice(&self) -> Vec<Advice> {
        let mut advice = Vec::new();
        for one in self.servers.iter().flat_map(ServerFacts::advice) {
            if !advice.contains(&one) {
                advice.push(one);
            }
        }
        advice
    }

    /// Whether a message that so many replicas must have could not be acknowledged.
    #[must_use]
    pub fn lacks_replicas(&self, wanted: u32) -> Option<Advice> {
        let connected = self.servers.iter().map(|server| server.replicas).min()?;
        (connected < wanted).then_some(Advice::TooFewReplicas { wanted, connected })
    }

    /// Asks the servers at the other end.
    pub(super) async fn ask(connection: &mut Connection) -> RedisResult<Self> {
        let mut servers: Vec<(Value, ServerFacts)> = Vec::new();
        for (address, info) in connection.ask_all(&cmd("INFO")).await? {
            servers.push((address, ServerFacts::parse(&from_redis_value_ref::<String>(&info)?)));
        }
        for name in ["appendfsync", "no-appendfsync-on-rewrite", "save"] {
            let mut ask = cmd("CONFIG");
            ask.arg("GET").arg(name);
            // Whoever may not ask goes without.
            for (address, answer) in connection.ask_all(&ask).await.unwrap_or_default() {
                if let Some((_, server)) = servers.iter_mut().find(|(known, _)| *known == address) {
                    server.set(name, &answer);
                }
            }
        }
        Ok(Self { servers: servers.into_iter().map(|(_, server)| server).collect() })
    }
}

impl ServerFacts {
    /// Reads the answer to `INFO`, or to a section of it.
    pub(super) fn parse(info: &str) -> Self {
        let line = |name: &str| info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim).unwrap_or_default();
        Self {
            version: line("redis_version").to_owned(),
            writable: line("role") == "master" && line("loading") != "1",
            replid: line("master_replid").to_owned(),
            maxmemory_policy: line("maxmemory_policy").to_owned(),
            append_only: line("aof_enabled") == "1",
            append_only_whole: line("aof_enabled") == "1"
                && line("aof_rewrite_in_progress") != "1"
                && line("aof_rewrite_scheduled") != "1"
                && line("aof_last_bgrewrite_status") != "err",
            fsync: None,
            fsync_pauses: false,
            snapshots: None,
            replicas: line("connected_slaves").parse().unwrap_or(0),
        }
    }

    /// Reads the answer to `CONFIG GET`.
    fn set(&mut self, name: &str, answer: &Value) {
        let pairs: Vec<(String, String)> = from_redis_value_ref(answer).unwrap_or_default();
        let Some((_, value)) = pairs.into_iter().find(|(key, _)| key == name) else { return };
        match (name, value.as_str()) {
            ("appendfsync", "always") => self.fsync = Some(Fsync::Always),
            ("appendfsync", "everysec") => self.fsync = Some(Fsync::EverySecond),
            ("appendfsync", "no") => self.fsync = Some(Fsync::No),
            ("no-appendfsync-on-rewrite", pauses) => self.fsync_pauses = pauses != "no",
            ("save", save) => self.snapshots = Some(!save.is_empty()),
            _ => {}
        }
    }

    /// Whether what it acknowledges has been forced to disk, at any time.
    fn fsync_always(&self) -> bool {
        self.append_only && self.append_only_whole && self.fsync == Some(Fsync::Always) && !self.fsync_pauses
    }

    fn advice(&self) -> Vec<Advice> {
        let mut advice = Vec::new();
        let major = self.version.split('.').next().and_then(|major| major.parse::<u32>().ok());
        if major.is_none_or(|major| major < 7) {
            advice.push(Advice::TooOld(self.version.clone()));
        }
        if !["", "noeviction"].contains(&self.maxmemory_policy.as_str()) {
            advice.push(Advice::Evicts(self.maxmemory_policy.clone()));
        }
        match (self.append_only, self.snapshots) {
            (true, _) if self.fsync.is_none() => advice.push(Advice::FsyncUnknown),
            (true, _) if self.fsync == Some(Fsync::Always) && self.fsync_pauses => advice.push(Advice::FsyncPauses),
            (true, _) | (false, None) => {}
            (false, Some(true)) => advice.push(Advice::SnapshotsOnly),
            (false, Some(false)) => advice.push(Advice::KeepsNothing),
        }
        advice
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INFO: &str = "# Server\r\nredis_version:7.0.15\r\n# Memory\r\nmaxmemory_policy:noeviction\r\n# Persistence\r\nloading:0\r\naof_enabled:1\r\n# Replication\r\nrole:master\r\nconnected_slaves:2\r\nmaster_replid:abc\r\n";

    fn server(info: &str, fsync: &str, save: &str) -> ServerFacts {
        let bulk = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        let mut server = ServerFacts::parse(info);
        server.set("appendfsync", &Value::Map(vec![(bulk("appendfsync"), bulk(fsync))]));
        server.set("save", &Value::Array(vec![bulk("save"), bulk(save)]));
        server
    }

    #[test]
    fn one_server_is_read_from_its_info() {
        let server = server(INFO, "always", "");
        assert_eq!((server.version.as_str(), server.replid.as_str(), server.replicas, server.snapshots), ("7.0.15", "abc", 2, Some(false)));
        let facts = Facts { servers: vec![server] };
        assert!(facts.are_writable() && facts.fsync_always());
        assert_eq!(facts.advice(), []);
        assert_eq!((facts.lacks_replicas(2), facts.lacks_replicas(3)), (None, Some(Advice::TooFewReplicas { wanted: 3, connected: 2 })));
    }

    #[test]
    fn what_is_dangerous_is_advised_against() {
        let advice = |from: &str, to: &str, save: &str| server(&INFO.replace(from, to), "everysec", save).advice();
        assert_eq!(advice("7.0.15", "6.2.14", ""), [Advice::TooOld("6.2.14".into())]);
        assert_eq!(advice("noeviction", "allkeys-lru", ""), [Advice::Evicts("allkeys-lru".into())]);
        assert_eq!(advice("aof_enabled:1", "aof_enabled:0", ""), [Advice::KeepsNothing]);
        assert_eq!(advice("aof_enabled:1", "aof_enabled:0", "3600 1"), [Advice::SnapshotsOnly]);
        assert_eq!(ServerFacts::parse(INFO).advice(), [Advice::FsyncUnknown]);
    }

    #[test]
    fn what_is_not_always_forced_to_disk_is_not_said_to_be() {
        let bulk = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        let mut pausing = server(INFO, "always", "");
        pausing.set("no-appendfsync-on-rewrite", &Value::Map(vec![(bulk("no-appendfsync-on-rewrite"), bulk("yes"))]));
        assert_eq!(pausing.advice(), [Advice::FsyncPauses]);
        assert!(!Facts { servers: vec![pausing] }.fsync_always());
    }

    /// Begun while the server runs, the file holds all data only once it has been written anew: until then a crash loses what was forced to disk.
    #[test]
    fn a_file_that_was_just_begun_promises_nothing_yet_and_one_that_is_written_anew_does() {
        let facts = |aof: &str| Facts { servers: vec![server(&INFO.replace("aof_enabled:1", aof), "always", "")] };
        let following = |before: &Facts, aof: &str| {
            let mut facts = facts(aof);
            facts.follow(before);
            facts
        };
        let begun = following(&facts("aof_enabled:0"), "aof_enabled:1\r\naof_rewrite_in_progress:1");
        assert!(!begun.fsync_always());
        assert!(!following(&begun, "aof_enabled:1\r\naof_rewrite_scheduled:1").fsync_always());
        assert!(!following(&begun, "aof_enabled:1\r\naof_last_bgrewrite_status:err").fsync_always());
        let whole = following(&begun, "aof_enabled:1\r\naof_rewrite_in_progress:0\r\naof_last_bgrewrite_status:ok");
        assert!(whole.fsync_always());
        assert!(following(&whole, "aof_enabled:1\r\naof_rewrite_in_progress:1").fsync_always());
        let off = following(&whole, "aof_enabled:0");
        assert!(!following(&off, "aof_enabled:1\r\naof_rewrite_in_progress:1").fsync_always());
    }

    #[test]
    fn a_set_of_servers_is_as_good_as_its_worst() {
        let good = server(INFO, "always", "");
        for worse in
            [server(&INFO.replace("role:master", "role:slave"), "always", ""), server(&INFO.replace("loading:0", "loading:1"), "everysec", "")]
        {
            let facts = Facts { servers: vec![good.clone(), worse] };
            assert!(!facts.are_writable());
        }
        let facts = Facts { servers: vec![good.clone(), server(INFO, "everysec", "")] };
        assert!(facts.are_writable() && !facts.fsync_always() && !Facts { servers: Vec::new() }.are_writable());
    }
}
