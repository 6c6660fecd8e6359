//! Where the connections of a client or user live.

use arqonbus_protocol::{ClientId, CloseCode, DisconnectResult, ErrorCode, Refusal, UserId};
use bytes::Bytes;

use super::op::Asked;
use super::{Abroad, ConnId, Home};
use crate::fanout::Delivery;
use crate::hash::Map;
use crate::peers::letter::{News, Whom};

/// Connections by identity, for the identities whose home this is.
#[derive(Debug, Default)]
pub(crate) struct Directory {
    clients: Map<ClientId, ConnId>,
    users: Map<UserId, Vec<ConnId>>,
}

impl Directory {
    pub(super) fn client(&self, client: &ClientId) -> Option<ConnId> {
        self.clients.get(client).copied()
    }

    pub(super) fn user(&self, user: &UserId) -> &[ConnId] {
        self.users.get(user).map_or(&[], Vec::as_slice)
    }

    pub(super) fn remove_client(&mut self, client: &ClientId, conn: ConnId) {
        if self.clients.get(client) == Some(&conn) {
            self.clients.remove(client);
        }
    }

    pub(super) fn add_user(&mut self, user: UserId, conn: ConnId) {
        self.users.entry(user).or_default().push(conn);
    }

    pub(super) fn remove_user(&mut self, user: &UserId, conn: ConnId) {
        if let Some(conns) = self.users.get_mut(user) {
            conns.retain(|other| *other != conn);
            if conns.is_empty() {
                self.users.remove(user);
            }
        }
    }
}

impl Home {
    /// Lets `asked.conn` answer to its client id from now on; a connection that did before is closed, on whichever node.
    pub(super) fn register(&mut self, asked: &Asked, reply: Option<Bytes>, resumed: bool) {
        if resumed {
            self.abroad(Abroad::Tell(Box::new(News::Resumed(asked.who.client))));
        }
        let before = self.directory.clients.insert(asked.who.client, asked.conn);
        if let Some(before) = before.filter(|before| *before != asked.conn) {
            self.egress.push(before.shard, Delivery::Close { conn: before.key, code: CloseCode::Replaced });
        }
        if let Some(reply) = reply {
            self.egress.send(asked.conn, reply);
        }
    }

    pub(super) fn kick(&mut self, asked: Asked, whom: Whom) {
        let here = self.close_all(&whom);
        if self.has_peers() {
            return self.abroad(Abroad::Kick { asked, whom, here });
        }
        if here == 0 {
            return self.refuse(&asked, None, &Refusal::new(ErrorCode::NoRecipient, "nobody is there by that name").at("/args"));
        }
        self.egress.ok(&asked, &DisconnectResult { disconnected: here, incomplete: false });
    }
}
