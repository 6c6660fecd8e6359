//! The known events: name, meaning, and the schema of their data.

use schemars::{Schema, SchemaGenerator};

use crate::{Deleted, Gap, Presence, Welcome};

/// One row of [`EVENTS`].
pub(super) struct EventSpec {
    /// The name on the wire.
    pub(super) name: &'static str,
    /// When it is sent, as one sentence.
    pub(super) summary: &'static str,
    /// Whether it is about a topic.
    pub(super) about_topic: bool,
    /// The name of the type of its data.
    pub(super) data: &'static str,
    /// The JSON Schema of its data.
    pub(super) data_schema: fn(&mut SchemaGenerator) -> Schema,
}

/// Defines a row whose data is one type.
macro_rules! event {
    ($name:literal, $data:ident, $about_topic:literal, $summary:literal) => {
        EventSpec {
            name: $name,
            summary: $summary,
            about_topic: $about_topic,
            data: stringify!($data),
            data_schema: SchemaGenerator::subschema_for::<$data>,
        }
    };
}

/// Every event of this version; a test compares them with [`crate::EventBody::NAMES`].
pub(super) const EVENTS: &[EventSpec] = &[
    event!("welcome", Welcome, false, "The server introduces itself: first on every connection, and again when something in it changes."),
    event!("gap", Gap, true, "What lies between two positions was not and will not be delivered; told before the first message after it."),
    event!("joined", Presence, true, "A client joined; for members that asked for presence."),
    event!("left", Presence, true, "A client left; for members that asked for presence."),
    event!("deleted", Deleted, true, "The channel was deleted; the subscription has ended."),
];
