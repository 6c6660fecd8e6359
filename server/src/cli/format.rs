//! Results as people read them: messages in a line, tables in columns, numbers with units.

use arqonbus_client::{Item, Job, Message};
use arqonbus_protocol::{EventBody, Gap, Presence, Topic};

use super::output::{Style, styled};
use crate::telemetry::Escaped;

/// How received things are written.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub(super) struct Look {
    /// Print envelopes as JSON, one a line.
    #[arg(long)]
    json: bool,
    /// Print payloads only.
    #[arg(long, conflicts_with = "json")]
    payload: bool,
}

impl Look {
    /// A message as one line.
    pub(super) fn message(self, message: &Message) -> String {
        if self.json {
            return message.to_json();
        }
        if self.payload {
            return message.payload_json().to_owned();
        }
        let from = message.user().map_or_else(|| message.sender().to_string(), ToString::to_string);
        let place = message.position().map_or_else(String::new, |position| format!(" {}:{}", position.epoch, position.seq));
        let head = format!("{}{}", styled(Style::Bold, &message.target().to_string()), styled(Style::Dim, &format!("{place} {from}")));
        let headers = message.headers_json().map_or_else(String::new, |headers| format!(" {}", styled(Style::Dim, headers)));
        format!("{head} {}{headers}", message.payload_json())
    }

    /// A job as one line: its message, and how often it was given out where that is more than once.
    pub(super) fn job(self, job: &Job) -> String {
        if self.json {
            return job.to_json();
        }
        let line = self.message(job.message());
        if self.payload || job.delivery() == 1 {
            return line;
        }
        format!("{line} {}", styled(Style::Warn, &format!("delivery {}", job.delivery())))
    }

    /// What a subscription gives, as one line; none for what nobody asked to see.
    pub(super) fn item(self, item: &Item) -> Option<String> {
        match item {
            Item::Message(message) => Some(self.message(message)),
            Item::Gap { topic, gap } => self.event(topic, &EventBody::Gap(*gap), &gap_words(gap)),
            Item::Presence { topic, joined, presence } => {
                let words = presence_words(*joined, presence);
                let body = if *joined { EventBody::Joined(presence.clone()) } else { EventBody::Left(presence.clone()) };
                self.event(topic, &body, &words)
            }
            Item::Deleted { topic, by } => {
                self.event(topic, &EventBody::Deleted(arqonbus_protocol::Deleted { by: *by }), &format!("deleted by {by}"))
            }
            Item::Missed(_) if self.payload => None,
            Item::Missed(count) if self.json => {
                Some(serde_json::json!({ "type": "event", "event": "missed", "data": { "count": count } }).to_string())
            }
            Item::Missed(count) => Some(styled(Style::Warn, &format!("{count} messages to this client gave way before they were read"))),
            // Told as the command's failure; what a newer client library adds is not known here.
            Item::Ended(_) | _ => None,
        }
    }

    fn event(self, topic: &Topic, body: &EventBody, words: &str) -> Option<String> {
        if self.payload {
            return None;
        }
        if !self.json {
            return Some(format!("{} {}", styled(Style::Bold, &topic.to_string()), styled(Style::Warn, words)));
        }
        let data = match body {
            EventBody::Gap(gap) => serde_json::to_value(gap),
            EventBody::Joined(presence) | EventBody::Left(presence) => serde_json::to_value(presence),
            EventBody::Deleted(deleted) => serde_json::to_value(deleted),
            EventBody::Welcome(welcome) => serde_json::to_value(welcome),
        };
        let data = data.expect("wire types serialize");
        Some(serde_json::json!({ "type": "event", "event": body.name(), "room": topic.room, "channel": topic.channel, "data": data }).to_string())
    }
}

fn gap_words(gap: &Gap) -> String {
    let from = gap.from.map_or_else(|| "the beginning".to_owned(), |from| format!("{}:{}", from.epoch, from.seq));
    format!("gap ({}): what lies between {from} and {}:{} is missing", gap.reason.as_str(), gap.to.epoch, gap.to.seq)
}

fn presence_words(joined: bool, presence: &Presence) -> String {
    let name = presence.name.as_deref().map_or_else(String::new, |name| format!(" ({})", Escaped(name)));
    let who = presence.user.map_or_else(|| presence.client.to_string(), |user| user.to_string());
    format!("{who}{name} {}, {} now", if joined { "joined" } else { "left" }, presence.members)
}

/// Columns, as wide as their widest cell; the last is left as it is. The head is for people and left out of pipes by the caller.
pub(super) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let columns = head.len();
    let mut widths: Vec<usize> = head.iter().map(|cell| cell.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let padded = cells.enumerate().map(|(column, cell)| {
            let padding = if column + 1 < columns { widths[column] - cell.chars().count() } else { 0 };
            format!("{cell}{}", " ".repeat(padding))
        });
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    let mut out = styled(Style::Dim, line(&mut head.iter().copied()).trim_end()) + "\n";
    for row in rows {
        out.push_str(&line(&mut row.iter().map(String::as_str)));
    }
    out
}

/// Bytes with a unit: `1.5 MiB`.
pub(super) fn bytes(bytes: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let unit = (0..units.len() - 1).find(|unit| bytes < 1 << (10 * (unit + 1))).unwrap_or(units.len() - 1);
    if unit == 0 { format!("{bytes} B") } else { format!("{:.1} {}", bytes as f64 / (1_u64 << (10 * unit)) as f64, units[unit]) }
}

/// Microseconds with a unit: `850 µs`, `1.25 ms`.
pub(super) fn micros(us: u64) -> String {
    match us {
        0..1_000 => format!("{us} µs"),
        1_000..1_000_000 => format!("{:.2} ms", us as f64 / 1e3),
        _ => format!("{:.2} s", us as f64 / 1e6),
    }
}

/// Milliseconds as `3d 4h`, `4h 5m`, `5m 6s` or `6s`.
pub(super) fn uptime(ms: u64) -> String {
    let (days, hours, minutes, seconds) = (ms / 86_400_000, ms / 3_600_000 % 24, ms / 60_000 % 60, ms / 1_000 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m {seconds}s"),
        (0, _, _) => format!("{hours}h {minutes}m"),
        _ => format!("{days}d {hours}h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_carry_their_unit() {
        assert_eq!([bytes(0), bytes(1023), bytes(1536), bytes(5 << 30)], ["0 B", "1023 B", "1.5 KiB", "5.0 GiB"]);
        assert_eq!([micros(999), micros(1_250), micros(2_000_000)], ["999 µs", "1.25 ms", "2.00 s"]);
        assert_eq!([uptime(6_500), uptime(306_000), uptime(14_700_000), uptime(273_600_000)], ["6s", "5m 6s", "4h 5m", "3d 4h"]);
    }

    #[test]
    fn columns_are_aligned() {
        let rows = vec![vec!["a".to_owned(), "10".to_owned()], vec!["long name".to_owned(), "é".to_owned()]];
        assert_eq!(table(&["room", "members"], &rows), "room       members\na          10\nlong name  é\n");
    }
}
