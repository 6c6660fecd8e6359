//! What makes a configuration wrong although each value is of its type.

use std::fmt;
use std::net::SocketAddr;

use arqonbus_protocol::{Channel, Pattern, PatternPart, Room};

use super::mistake::nearest;
use super::{Config, Groups, History};

/// Something that does not make sense.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The key, such as `limits.joins`.
    pub key: String,
    /// What is wrong, and what would be right.
    pub why: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.why)
    }
}

const MIB: u64 = 1024 * 1024;
const HOUR_MS: u64 = 3_600_000;

impl Config {
    /// Everything that does not make sense; nothing where the configuration can be used.
    #[must_use]
    pub fn check(&self) -> Vec<Problem> {
        let mut found = Found::default();
        self.check_addresses(&mut found);
        self.check_ranges(&mut found);
        self.check_sizes(&mut found);
        self.check_history("history", &self.history, &mut found);
        check_groups("groups", &self.groups, &mut found);
        self.check_rules(&mut found);
        self.storage.check(&mut found);
        self.check_telemetry(&mut found);
        for (index, origin) in self.origins.iter().enumerate() {
            found.unless(is_origin(origin), &format!("origins[{index}]"), || {
                format!(
                    "{origin:?} is no origin: expected scheme://host or scheme://host:port without a path, such as \"https://app.example\", or \"*\""
                )
            });
        }
        if let Err(why) = check_filter(&self.log.filter) {
            found.unless(false, "log.filter", || why);
        }
        found.0
    }

    fn check_addresses(&self, found: &mut Found) {
        found.unless(self.listen.ip().is_loopback() || self.allow_public_without_auth, "listen", || {
            format!(
                "{} is reachable from other machines and clients are not asked for credentials: listen on 127.0.0.1, or set allow_public_without_auth = true",
                self.listen
            )
        });
        let clash = self.admin.is_some_and(|admin| collide(admin, self.listen));
        found.unless(!clash, "admin", || format!("{} is taken by listen", self.listen));
    }

    fn check_ranges(&self, found: &mut Found) {
        let (limits, drain) = (&self.limits, &self.drain);
        for (key, value, least, most) in [
            ("shards", self.shards as u64, 0, 1_024),
            ("heartbeat_ms", self.heartbeat_ms, 50, HOUR_MS),
            ("flush_interval_ms", self.flush_interval_ms, 0, 1_000),
            ("limits.connections", limits.connections as u64, 1, 10_000_000),
            ("limits.envelope_bytes", limits.envelope_bytes as u64, 1_024, 64 * MIB),
            ("limits.frame_bytes", limits.frame_bytes as u64, 1_024, 256 * MIB),
            ("limits.joins", limits.joins as u64, 1, 1_000_000),
            ("limits.channels", limits.channels as u64, 1, 100_000_000),
            ("limits.outbox_bytes", limits.outbox_bytes as u64, 1_024, 1_024 * MIB),
            ("limits.outbox_age_ms", limits.outbox_age_ms, 10, HOUR_MS),
            ("limits.lane_queue", limits.lane_queue as u64, 1, 10_000_000),
            ("limits.groups", limits.groups as u64, 1, 10_000),
            ("limits.group_pending", limits.group_pending as u64, 1, 10_000_000),
            ("limits.http_body_bytes", limits.http_body_bytes as u64, 1_024, 256 * MIB),
            ("drain.reconnect_window_ms", drain.reconnect_window_ms, 0, HOUR_MS),
            ("drain.notice_ms", drain.notice_ms, 0, HOUR_MS),
            ("drain.deadline_ms", drain.deadline_ms, 0, HOUR_MS),
            ("history_total_bytes", self.history_total_bytes, 1, u64::MAX),
            ("dedup_total_bytes", self.dedup_total_bytes, 1024 * 1024, u64::MAX),
            ("telemetry.queue", self.telemetry.queue as u64, 1, 1_000_000),
        ] {
            found.unless((least..=most).contains(&value), key, || {
                if most == u64::MAX {
                    format!("{value} is too small: expected {least} or more")
                } else {
                    format!("{value} is out of range: expected {least} to {most}")
                }
            });
        }
        found.unless(drain.notice_ms <= drain.deadline_ms, "drain.notice_ms", || {
            format!("{} is later than drain.deadline_ms, {}: nobody would be closed in order", drain.notice_ms, drain.deadline_ms)
        });
    }

    fn check_sizes(&self, found: &mut Found) {
        let limits = &self.limits;
        let envelope = limits.envelope_bytes;
        for (key, value, least, what) in [
            ("limits.frame_bytes", limits.frame_bytes, envelope, "a frame must hold one envelope"),
            ("limits.http_body_bytes", limits.http_body_bytes, envelope, "a body must hold one envelope"),
            (
                "limits.outbox_bytes",
                limits.outbox_bytes,
                envelope.saturating_mul(2),
                "an outbox must hold two envelopes, or one large message closes its readers",
            ),
        ] {
            found.unless(value >= least, key, || format!("{value} is too small for limits.envelope_bytes, {envelope}: {what}"));
        }
    }

    fn check_history(&self, key: &str, history: &History, found: &mut Found) {
        if history.messages > 0 {
            let why = || "0 keeps nothing: say so by messages = 0".to_owned();
            found.unless(history.age_ms > 0, &format!("{key}.age_ms"), why);
            found.unless(history.bytes >= self.limits.envelope_bytes as u64, &format!("{key}.bytes"), || {
                format!("{} could not hold one message of limits.envelope_bytes, {}", history.bytes, self.limits.envelope_bytes)
            });
            found.unless(history.bytes <= self.history_total_bytes, &format!("{key}.bytes"), || {
                format!("{} is more than all topics may hold together, history_total_bytes, {}", history.bytes, self.history_total_bytes)
            });
        }
        found.unless((history.dedup_ms == 0) == (history.dedup_entries == 0), &format!("{key}.dedup_entries"), || {
            "remembering ids needs both dedup_ms and dedup_entries; 0 and 0 remembers none".to_owned()
        });
    }

    fn check_rules(&self, found: &mut Found) {
        for (index, rule) in self.rules.iter().enumerate() {
            let key = format!("rules[{index}]");
            let earlier = self.rules[..index].iter().position(|earlier| covers(&earlier.topics, &rule.topics));
            if let Some(earlier) = earlier {
                let same = self.rules[earlier].topics == rule.topics;
                let cure = if same { "remove one of them" } else { "put the narrower rule first" };
                found.unless(false, &format!("{key}.topics"), || {
                    format!(
                        "{} never applies, for rules[{earlier}], {}, comes first and matches all of it: {cure}",
                        rule.topics, self.rules[earlier].topics
                    )
                });
            }
            let reserved = rule.topics.room.as_str().starts_with('_') && rule.topics.room.as_str() != self.telemetry.room;
            found.unless(!reserved && !rule.topics.channel.as_str().starts_with('_'), &format!("{key}.topics"), || {
                format!("{} is the server's own: names that begin with _ cannot be configured, but for the telemetry room", rule.topics)
            });
            let description = rule.description.as_deref().unwrap_or_default();
            found.unless(description.chars().count() <= 256 && !description.chars().any(char::is_control), &format!("{key}.description"), || {
                "expected at most 256 characters without control characters".to_owned()
            });
            if let Some(groups) = &rule.groups {
                check_groups(&format!("{key}.groups"), groups, found);
            }
            if let Some(history) = &rule.history {
                self.check_history(&format!("{key}.history"), history, found);
            }
        }
        let declared = self.rules.iter().filter(|rule| rule.topics.as_topic().is_some()).count();
        found.unless(declared <= self.limits.channels, "limits.channels", || format!("the rules alone declare {declared} channels"));
    }

    fn check_telemetry(&self, found: &mut Found) {
        let telemetry = &self.telemetry;
        let name = |what: &str| format!("{what:?} is no name: expected 1 to 64 of A-Z a-z 0-9 _ . - and not only dots");
        found.unless(telemetry.room.parse::<Room>().is_ok(), "telemetry.room", || name(&telemetry.room));
        found.unless(telemetry.activity_channel.parse::<Channel>().is_ok(), "telemetry.activity_channel", || name(&telemetry.activity_channel));
        found.unless(telemetry.metrics_channel.parse::<Channel>().is_ok(), "telemetry.metrics_channel", || name(&telemetry.metrics_channel));
        let snapshot_ms = telemetry.snapshot_ms;
        found.unless(snapshot_ms == 0 || (100..=HOUR_MS).contains(&snapshot_ms), "telemetry.snapshot_ms", || {
            format!("{snapshot_ms} is out of range: expected 0 for none, or 100 to {HOUR_MS}")
        });
    }
}

fn check_groups(key: &str, groups: &Groups, found: &mut Found) {
    for (name, value, least) in [("ack_timeout_ms", groups.ack_timeout_ms, 100), ("forget_ms", groups.forget_ms, 1_000)] {
        found.unless((least..=365 * 24 * HOUR_MS).contains(&value), &format!("{key}.{name}"), || {
            format!("{value} is out of range: expected {least} to {}", 365 * 24 * HOUR_MS)
        });
    }
    // Any topic will do, to see whether there is a place beside it.
    let dead = &groups.dead_letter;
    let beside = "room:channel".parse().ok().and_then(|topic| groups.dead_letter_topic(&topic));
    let fine = dead == "off" || (!dead.is_empty() && dead.len() < 64 && beside.is_some_and(|topic| !topic.is_reserved()));
    found.unless(fine, &format!("{key}.dead_letter"), || {
        format!("{dead:?} is no place: expected what is added to a channel's name, such as \".dead\", a \"room:channel\", or \"off\"")
    });
}

/// The problems so far.
#[derive(Default)]
pub(super) struct Found(Vec<Problem>);

impl Found {
    /// Notes a problem, unless `fine`.
    pub(super) fn unless(&mut self, fine: bool, key: &str, why: impl FnOnce() -> String) {
        if !fine {
            self.0.push(Problem { key: key.to_owned(), why: why() });
        }
    }
}

/// Whether `wide` matches every topic that `narrow` matches.
fn covers(wide: &Pattern, narrow: &Pattern) -> bool {
    let part = |wide: &PatternPart, narrow: &PatternPart| match wide.as_str().strip_suffix('*') {
        None => wide == narrow,
        // As in matching: a wildcard reaches the server's names only where it begins with `_` itself.
        Some(prefix) => narrow.as_str().trim_end_matches('*').starts_with(prefix) && narrow.as_str().starts_with('_') == prefix.starts_with('_'),
    };
    part(&wide.room, &narrow.room) && part(&wide.channel, &narrow.channel)
}

/// Whether one of two listeners would find its port taken by the other.
fn collide(a: SocketAddr, b: SocketAddr) -> bool {
    a.port() != 0 && a.port() == b.port() && (a.ip() == b.ip() || a.ip().is_unspecified() || b.ip().is_unspecified())
}

/// Whether `text` is what a browser sends as `Origin`, or `*`.
fn is_origin(text: &str) -> bool {
    let Some((scheme, authority)) = text.split_once("://") else { return text == "*" };
    let scheme_ok = scheme.starts_with(|c: char| c.is_ascii_lowercase())
        && scheme.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || b"+.-".contains(&c));
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let host_ok = match bracketed {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || b"._-".contains(&c)),
    };
    scheme_ok && host_ok && port.is_none_or(|port| port.parse::<u16>().is_ok())
}

/// Whether each directive of a log filter ends in a level; a bare word that is none would silently be taken for a module's name.
fn check_filter(filter: &str) -> Result<(), String> {
    const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];
    for directive in filter.split(',') {
        let level = directive.rsplit_once('=').map_or(directive, |(_, level)| level).trim().to_ascii_lowercase();
        if !LEVELS.contains(&level.as_str()) {
            let meant = nearest(&level, LEVELS).map_or_else(String::new, |meant| format!(" (did you mean {meant}?)"));
            return Err(format!("{level:?} is no level{meant}: expected {}, or directives such as \"info,arqonbus=debug\"", LEVELS.join(", ")));
        }
    }
    Ok(())
}
