//! Messages to targets that keep no order: private, room, everyone.

use arqonbus_protocol::{Durability, ErrorCode, PublishResult, Refusal, Target};
use bytes::Bytes;

use super::op::PublishOp;
use super::publish::id_conflict;
use super::{ConnId, Home};
use crate::fanout::Delivery;
use crate::storage::Verdict;

impl Home {
    /// Sends to a target without a log; this is the home of the target.
    pub(super) fn send(&mut self, publish: &PublishOp) {
        let body = publish.entry.text.clone();
        // First of all, because what was delivered once is not refused when it comes again and the receiver is gone.
        self.counts.add(publish);
        let duplicate = match publish.fingerprint.map(|fingerprint| self.sent.check(fingerprint, self.now)) {
            None | Some(Verdict::Fresh) => false,
            Some(Verdict::Duplicate(())) => true,
            Some(Verdict::Conflict) => return self.refuse(&publish.asked, None, &id_conflict()),
        };
        if !duplicate {
            let recipients = match self.recipients(publish) {
                Ok(recipients) => recipients,
                Err(refusal) => return self.refuse(&publish.asked, None, &refusal),
            };
            if let Some(fingerprint) = publish.fingerprint {
                self.sent.remember(fingerprint, (), self.now);
            }
            let except = publish.exclude_sender.then_some(publish.asked.conn);
            self.deliver(&publish.target, &recipients, &body, except);
        }
        if publish.ack {
            self.egress.acked(&publish.asked, &PublishResult { position: None, durability: Durability::None, duplicate });
        }
    }

    /// Who is named by a private target; nobody is an error, not a silence.
    fn recipients(&self, publish: &PublishOp) -> Result<Vec<ConnId>, Refusal> {
        let mut found = match &publish.target {
            Target::Client(client) => self.directory.client(client).into_iter().collect(),
            Target::User(user) => self.directory.user(user).to_vec(),
            Target::Room(_) | Target::Everyone | Target::Topic(_) => return Ok(Vec::new()),
        };
        if publish.exclude_sender {
            found.retain(|conn| *conn != publish.asked.conn);
        }
        if found.is_empty() {
            let code = if publish.request { ErrorCode::NoResponder } else { ErrorCode::NoRecipient };
            return Err(Refusal::new(code, "nobody is there by that name").at("/to"));
        }
        Ok(found)
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
