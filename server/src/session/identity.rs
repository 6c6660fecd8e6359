//! Who a connection is.

use arqonbus_protocol::{ClientId, UserId};
use serde_json::{Map, Value};

/// A connection's identity; shared by all that it is a member of.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) client: ClientId,
    pub(crate) user: Option<UserId>,
    /// What it said about itself; most connections that only listen say nothing.
    pub(crate) about: Option<Box<About>>,
}

/// What a client said about itself.
#[derive(Debug, Clone, Default)]
pub(crate) struct About {
    pub(crate) name: Option<String>,
    pub(crate) kind: Option<String>,
    pub(crate) metadata: Option<Map<String, Value>>,
}

impl Identity {
    pub(crate) fn bare(client: ClientId) -> Self {
        Self { client, user: None, about: None }
    }

    /// Whether this is the bus itself.
    pub(crate) fn is_node(&self) -> bool {
        self.client.as_bytes()[0] == b'n'
    }
}
