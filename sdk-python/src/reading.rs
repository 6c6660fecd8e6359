//! What is read: the options of joins and histories, taken from Python before anything happens.

use arqonbus_client::protocol::{self, HistoryBound, Invalid, Timestamp, Topic, TopicPosition};
use arqonbus_client::{Client, Join, JoinGroup};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyMapping};

use crate::errors::invalid;
use crate::message::Position;
use crate::sending::seconds;

/// How a topic or pattern is joined; the names are those of `JoinOptions` of the package.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct Joining<'py> {
    since: Option<Bound<'py, Position>>,
    replay: Option<u32>,
    queue: Option<usize>,
    // A work group has only these of the following, an ordinary member only the others.
    #[pyo3(default)]
    group: Option<String>,
    #[pyo3(default)]
    max_in_flight: Option<u32>,
    #[pyo3(default)]
    positions: Option<Bound<'py, PyMapping>>,
    #[pyo3(default)]
    presence: Option<bool>,
    #[pyo3(default)]
    conflate: Option<bool>,
}

/// The same, without Python.
pub(crate) struct Joined {
    pattern: String,
    since: Option<protocol::Position>,
    replay: Option<u32>,
    positions: Option<Vec<TopicPosition>>,
    presence: bool,
    queue: Option<usize>,
    conflate: bool,
    group: Option<String>,
    max_in_flight: Option<u32>,
}

impl Joined {
    pub(crate) fn new(pattern: String, options: &Bound<'_, PyDict>) -> PyResult<Self> {
        let Joining { since, replay, queue, group, max_in_flight, positions, presence, conflate } = options.extract()?;
        let since = since.map(|since| since.get().to_wire()).transpose()?;
        let positions = positions.map(|positions| known_positions(&positions)).transpose()?;
        let (presence, conflate) = (presence.unwrap_or(false), conflate.unwrap_or(false));
        Ok(Self { pattern, since, replay, positions, presence, queue, conflate, group, max_in_flight })
    }

    /// The group that is joined, where it is one.
    pub(crate) fn group<'c>(&self, client: &'c Client) -> Option<JoinGroup<'c>> {
        let group = self.ordinary(client).group(self.group.as_ref()?);
        Some(match self.max_in_flight {
            Some(jobs) => group.max_in_flight(jobs),
            None => group,
        })
    }

    pub(crate) fn ordinary<'c>(&self, client: &'c Client) -> Join<'c> {
        let mut join = client.join(&self.pattern).presence(self.presence);
        if let Some(since) = self.since {
            join = join.since(since);
        }
        if let Some(messages) = self.replay {
            join = join.replay(messages);
        }
        if let Some(positions) = &self.positions {
            join = join.positions(positions.clone());
        }
        if let Some(messages) = self.queue {
            join = join.queue(messages);
        }
        if self.conflate { join.conflate() } else { join }
    }
}

/// Positions by topic.
fn known_positions(positions: &Bound<'_, PyMapping>) -> PyResult<Vec<TopicPosition>> {
    let known = positions.items()?.iter().map(|item| {
        let (topic, position): (String, Bound<'_, Position>) = item.extract()?;
        let topic: Topic = topic.parse().map_err(|error: Invalid| invalid(error.expected))?;
        let position = position.get().to_wire()?;
        Ok(TopicPosition { room: topic.room, channel: topic.channel, epoch: position.epoch, seq: position.seq })
    });
    known.collect()
}

/// What part of a history is read; the names are those of `HistoryOptions` of the package.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct Reading<'py> {
    since: Option<Bound<'py, PyAny>>,
    until: Option<Bound<'py, PyAny>>,
    limit: Option<u64>,
    backward: Option<bool>,
    page_size: Option<u32>,
}

/// The history that these options describe.
pub(crate) fn history(client: &Client, topic: &str, options: &Bound<'_, PyDict>) -> PyResult<arqonbus_client::History> {
    let Reading { since, until, limit, backward, page_size } = options.extract()?;
    let (since, until) = (since.map(|since| bound(&since)).transpose()?, until.map(|until| bound(&until)).transpose()?);
    let mut history = client.history(topic).between(since, until);
    if backward.unwrap_or(false) {
        history = history.backward();
    }
    if let Some(limit) = limit {
        history = history.limit(limit);
    }
    if let Some(messages) = page_size {
        history = history.page_size(messages);
    }
    Ok(history)
}

/// One end of a history: a position, or a time.
fn bound(value: &Bound<'_, PyAny>) -> PyResult<HistoryBound> {
    if let Ok(position) = value.cast::<Position>() {
        return Ok(HistoryBound::Position(position.get().to_wire()?));
    }
    let ms = seconds(value.call_method0("timestamp")?.extract()?)?.as_millis();
    Ok(HistoryBound::Timestamp(Timestamp::from_unix_ms(u64::try_from(ms).map_err(|_| invalid("a time beyond all calendars"))?)))
}
