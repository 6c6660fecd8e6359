//! Where logs are kept, and how the shared store is reached.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::check::Found;

/// Where logs are kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Storage {
    /// `"memory"`, or `"redis"` for history that outlives this server and several servers that are one bus.
    pub kind: StorageKind,
    /// How Redis is reached, and what is done while it is not; only looked at where `kind` says so.
    pub redis: Redis,
}

/// What keeps the logs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StorageKind {
    /// This process.
    #[default]
    Memory,
    /// Redis 7.0 or newer, or Valkey.
    Redis,
}

/// How Redis is reached, and what is done while it is not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Redis {
    /// `redis://host:port` or, by TLS, `rediss://host:port`, with `/number` for a database. Several for a cluster or for sentinels. Credentials have their own keys.
    pub urls: Vec<String>,
    /// What the names of all keys and channels in Redis begin with. The nodes of one bus share it.
    pub prefix: String,
    /// The ACL user; empty for the default one.
    pub username: String,
    /// The password of that user; empty for none. Better in `password_file`, or in the environment.
    #[schemars(extend("x-secret" = true))]
    pub password: Secret,
    /// A file that holds the password; empty for none.
    pub password_file: String,
    /// A file of PEM certificates that are trusted instead of the system's; empty for the system's.
    pub tls_ca_file: String,
    /// A file with this server's PEM certificate, where Redis asks for one; empty for none.
    pub tls_cert_file: String,
    /// A file with the PEM key of that certificate.
    pub tls_key_file: String,
    /// The name under which sentinels know the primary; `urls` are then the sentinels. Empty for no sentinels.
    pub sentinel_master: String,
    /// The ACL user at the sentinels; empty for the default one.
    pub sentinel_username: String,
    /// The password at the sentinels; empty for none.
    #[schemars(extend("x-secret" = true))]
    pub sentinel_password: Secret,
    /// Whether `urls` are nodes of a Redis Cluster.
    pub cluster: bool,
    /// Milliseconds for a connection to be made.
    pub connect_ms: u64,
    /// Milliseconds for an answer; after them its outcome is unknown.
    pub response_ms: u64,
    /// Milliseconds between two attempts to connect, at first.
    pub backoff_min_ms: u64,
    /// Milliseconds between two attempts to connect, at most. The wait doubles up to it, and is random below that.
    pub backoff_max_ms: u64,
    /// `"degrade"` to go on in memory while Redis is away, `"reject"` to refuse what would have been kept.
    pub on_outage: OnOutage,
    /// Whether the bus may start while Redis is away.
    pub start_without: bool,
    /// Messages that are kept for Redis while it is away; more are counted as lost.
    pub outage_messages: u64,
    /// Bytes that are kept for Redis while it is away; what does not fit is counted as lost.
    pub outage_bytes: u64,
    /// Replicas that must have a message before it is acknowledged; 0 for none.
    pub wait_replicas: u32,
    /// Milliseconds to wait for them; then the outcome is unknown. What is published meanwhile waits too, so at most 600: a publisher is answered
    /// within a second.
    pub wait_ms: u64,
    /// Milliseconds between two looks whether a topic has moved on unnoticed.
    pub head_check_ms: u64,
    /// Milliseconds for which a node goes on to follow a topic that its last member has left.
    pub linger_ms: u64,
    /// Milliseconds between two signs of life to the other nodes.
    pub node_heartbeat_ms: u64,
    /// Milliseconds of silence after which a node counts as dead, and its members as gone.
    pub node_dead_ms: u64,
    /// Milliseconds for the other nodes to answer a question that all have a part in.
    pub node_answer_ms: u64,
}

impl Default for Redis {
    fn default() -> Self {
        Self {
            urls: vec!["redis://127.0.0.1:6379".into()],
            prefix: "arqonbus".into(),
            username: String::new(),
            password: Secret::default(),
            password_file: String::new(),
            tls_ca_file: String::new(),
            tls_cert_file: String::new(),
            tls_key_file: String::new(),
            sentinel_master: String::new(),
            sentinel_username: String::new(),
            sentinel_password: Secret::default(),
            cluster: false,
            connect_ms: 1_000,
            response_ms: 1_000,
            backoff_min_ms: 50,
            backoff_max_ms: 2_000,
            on_outage: OnOutage::Degrade,
            start_without: false,
            outage_messages: 100_000,
            outage_bytes: 64 * 1024 * 1024,
            wait_replicas: 0,
            wait_ms: 500,
            head_check_ms: 5_000,
            linger_ms: 5_000,
            node_heartbeat_ms: 2_000,
            node_dead_ms: 10_000,
            node_answer_ms: 1_000,
        }
    }
}

/// What is done while Redis is away.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnOutage {
    /// Go on in memory; what was accepted is appended once Redis is back.
    #[default]
    Degrade,
    /// Refuse what would have been kept.
    Reject,
}

/// A text that no log and no panic shows.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// The text itself, for whoever it is meant for.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_empty() { "\"\"" } else { "<redacted>" })
    }
}

const HOUR_MS: u64 = 3_600_000;

impl Storage {
    /// What is wrong with it. Of a store that is not used, only the ranges are looked at.
    pub(super) fn check(&self, found: &mut Found) {
        self.redis.check_ranges(found);
        if self.kind == StorageKind::Redis {
            self.redis.check_urls(found);
            self.redis.check_credentials(found);
        }
    }
}

impl Redis {
    fn check_ranges(&self, found: &mut Found) {
        for (key, value, least, most) in [
            ("connect_ms", self.connect_ms, 10, 60_000),
            ("response_ms", self.response_ms, 10, 60_000),
            ("backoff_min_ms", self.backoff_min_ms, 1, 60_000),
            ("backoff_max_ms", self.backoff_max_ms, 1, HOUR_MS),
            ("outage_messages", self.outage_messages, 0, 1_000_000_000),
            ("outage_bytes", self.outage_bytes, 0, u64::MAX),
            ("wait_replicas", self.wait_replicas.into(), 0, 100),
            ("wait_ms", self.wait_ms, 1, 600),
            ("head_check_ms", self.head_check_ms, 100, 10_000),
            ("linger_ms", self.linger_ms, 0, HOUR_MS),
            ("node_heartbeat_ms", self.node_heartbeat_ms, 50, 10_000),
            ("node_dead_ms", self.node_dead_ms, 100, 25_000),
            ("node_answer_ms", self.node_answer_ms, 10, 60_000),
        ] {
            found.unless((least..=most).contains(&value), &format!("storage.redis.{key}"), || {
                format!("{value} is out of range: expected {least} to {most}")
            });
        }
        let (min, max) = (self.backoff_min_ms, self.backoff_max_ms);
        found.unless(min <= max, "storage.redis.backoff_min_ms", || format!("{min} is more than backoff_max_ms, {max}"));
        let (beat, dead) = (self.node_heartbeat_ms, self.node_dead_ms);
        // One sign of life may be late and one lost before a node is taken for dead.
        found.unless(beat.saturating_mul(3) <= dead, "storage.redis.node_dead_ms", || {
            format!("{dead} is less than three times node_heartbeat_ms, {beat}: a node that is late once would count as dead")
        });
        let prefix = &self.prefix;
        let named = (1..=64).contains(&prefix.len()) && prefix.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.:-".contains(&byte));
        found.unless(named, "storage.redis.prefix", || format!("{prefix:?} is no prefix: expected 1 to 64 of A-Z a-z 0-9 _ . : -"));
    }

    fn check_urls(&self, found: &mut Found) {
        let several = self.cluster || !self.sentinel_master.is_empty();
        found.unless(!self.urls.is_empty(), "storage.redis.urls", || "expected one or more".to_owned());
        found.unless(self.urls.len() <= 1 || several, "storage.redis.urls", || {
            "several addresses are for a cluster or for sentinels: set cluster = true, or sentinel_master".to_owned()
        });
        found.unless(!self.cluster || self.sentinel_master.is_empty(), "storage.redis.cluster", || {
            "either cluster or sentinel_master: a cluster has no sentinels".to_owned()
        });
        let tls = self.urls.iter().filter(|url| url.starts_with("rediss://")).count();
        found.unless(tls == 0 || tls == self.urls.len(), "storage.redis.urls", || "either all by rediss:// or none".to_owned());
        for (index, url) in self.urls.iter().enumerate() {
            let key = format!("storage.redis.urls[{index}]");
            // A wrong URL is not repeated: it may hold a password all the same.
            match redis::parse_redis_url(url).filter(|url| ["redis", "rediss"].contains(&url.scheme()) && url.host().is_some()) {
                None => found.unless(false, &key, || "this is no address of Redis: expected redis://host:port or rediss://host:port".to_owned()),
                Some(url) => {
                    let bare = url.username().is_empty() && url.password().is_none();
                    found.unless(bare, &key, || "credentials do not belong into an address: use username, and password or password_file".to_owned());
                    let number = url.path().trim_matches('/');
                    found.unless(number.is_empty() || number.parse::<u16>().is_ok(), &key, || {
                        "the path of an address is the number of a database".to_owned()
                    });
                    found.unless(!self.cluster || ["", "0"].contains(&number), &key, || "a cluster has no databases by number".to_owned());
                    found.unless(url.query().is_none(), &key, || "what follows a ? is not understood: use the keys of [storage.redis]".to_owned());
                }
            }
        }
    }

    fn check_credentials(&self, found: &mut Found) {
        found.unless(self.password.is_empty() || self.password_file.is_empty(), "storage.redis.password_file", || {
            "either password or password_file".to_owned()
        });
        let no_password = self.password.is_empty() && self.password_file.is_empty();
        found.unless(self.username.is_empty() || !no_password, "storage.redis.username", || "a user needs a password or a password_file".to_owned());
        found.unless(self.tls_cert_file.is_empty() == self.tls_key_file.is_empty(), "storage.redis.tls_key_file", || {
            "a certificate needs its key, and a key its certificate".to_owned()
        });
        let by_tls = self.urls.iter().any(|url| url.starts_with("rediss://"));
        for (key, file) in [("tls_ca_file", &self.tls_ca_file), ("tls_cert_file", &self.tls_cert_file)] {
            found.unless(file.is_empty() || by_tls, &format!("storage.redis.{key}"), || "this needs an address by rediss://".to_owned());
        }
        for (key, file) in [
            ("password_file", &self.password_file),
            ("tls_ca_file", &self.tls_ca_file),
            ("tls_cert_file", &self.tls_cert_file),
            ("tls_key_file", &self.tls_key_file),
        ] {
            let read = if file.is_empty() { Ok(()) } else { std::fs::File::open(file).map(drop) };
            found.unless(read.is_ok(), &format!("storage.redis.{key}"), || {
                format!("{file:?} cannot be read: {}", read.as_ref().map_or_else(ToString::to_string, |()| String::new()))
            });
        }
    }
}
