//! Messages to targets that keep no order: private, room, everyone.

use arqonbus_protocol::{Durability, ErrorCode, PublishResult, Refusal, Target};
use bytes::Bytes;

use super::op::PublishOp;
use super::publish::id_conflict;
use super::{Abroad, ConnId, Home};
use crate::fanout::Delivery;
use crate::peers::letter::Delivered;
use crate::storage::Verdict;

impl Home {
    /// Sends to a target without a log; this is the home of the target.
    pub(super) fn send(&mut self, publish: Box<PublishOp>) {
        // First of all, because what was delivered once is not refused when it comes again and the receiver is gone.
        self.counts.add(&publish);
        let duplicate = match publish.fingerprint.map(|fingerprint| self.sent.check(fingerprint, self.now)) {
            None | Some(Verdict::Fresh) => false,
            Some(Verdict::Duplicate(())) => true,
            Some(Verdict::Conflict) => return self.refuse(&publish.asked, None, &id_conflict()),
        };
        let recipients = self.recipients(&publish);
        let elsewhere = self.has_peers() && (!matches!(publish.target, Target::Client(_)) || recipients.is_empty());
        if !duplicate {
            if !elsewhere && recipients.is_empty() && matches!(publish.target, Target::Client(_) | Target::User(_)) {
                let code = if publish.request { ErrorCode::NoResponder } else { ErrorCode::NoRecipient };
                return self.refuse(&publish.asked, None, &Refusal::new(code, "nobody is there by that name").at("/to"));
            }
            let is_broadcast = matches!(publish.target, Target::Room(_) | Target::Everyone);
            if let Some(fingerprint) = publish.fingerprint.filter(|_| is_broadcast || !recipients.is_empty()) {
                self.sent.remember(fingerprint, (), self.now);
            }
            let except = publish.exclude_sender.then_some(publish.asked.conn);
            self.deliver(&publish.target, &recipients, &publish.entry.text, except);
        }
        if elsewhere {
            return self.send_abroad(publish, duplicate, recipients.is_empty());
        }
        if publish.ack {
            self.egress.acked(&publish.asked, PublishResult { position: None, durability: Durability::None, duplicate });
        }
    }

    /// Lets other nodes deliver it too; they know themselves what they delivered before.
    fn send_abroad(&mut self, publish: Box<PublishOp>, duplicate: bool, nobody_here: bool) {
        let here = match (duplicate, nobody_here) {
            (true, _) => Delivered::Before,
            (false, true) => Delivered::Nobody,
            (false, false) => Delivered::Now,
        };
        self.abroad(match publish.target {
            Target::Client(_) | Target::User(_) | Target::Topic(_) => Abroad::Send { publish, here },
            Target::Room(_) | Target::Everyone => Abroad::Broadcast { publish, duplicate },
        });
    }

    /// Who is named by a private target and is here.
    fn recipients(&self, publish: &PublishOp) -> Vec<ConnId> {
        let mut found = match &publish.target {
            Target::Client(client) => self.directory.client(client).into_iter().collect(),
            Target::User(user) => self.directory.user(user).to_vec(),
            Target::Room(_) | Target::Everyone | Target::Topic(_) => Vec::new(),
        };
        if publish.exclude_sender {
            found.retain(|conn| *conn != publish.asked.conn);
        }
        found
    }

    fn deliver(&mut self, target: &Target, recipients: &[ConnId], body: &Bytes, except: Option<ConnId>) {
        let here = |shard: u16| except.filter(|conn| conn.shard == shard).map(|conn| conn.key);
        match target {
            Target::Room(room) => self.egress.push_all(|shard| Delivery::Room { room: *room, body: body.clone(), except: here(shard) }),
            Target::Everyone => self.egress.push_all(|shard| Delivery::Everyone { body: body.clone(), except: here(shard) }),
            Target::Client(_) | Target::User(_) | Target::Topic(_) => {
                for conn in recipients {
                    self.egress.send(*conn, body.clone());
                }
            }
        }
    }
}
