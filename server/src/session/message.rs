//! A message on its way in: checked, addressed, and encoded once.

use arqonbus_protocol::{Delivery, DeliveryHead, ErrorCode, Pattern, Permission, Publish, Refusal, Target};

use super::permission::{self, Scope};
use super::{Channel, Context, Session, Step};
use crate::routing::{Op, PublishOp};
use crate::storage::{Entry, Fingerprint};

impl Session {
    pub(super) fn message(&mut self, publish: &Publish<'_>, cx: &mut Context<'_>) {
        self.acted = true;
        let asked = self.asked(publish.id, None, cx);
        if let Err(refusal) = self.admit(publish, cx) {
            let topic = if let Target::Topic(topic) = publish.target { Some(topic) } else { None };
            return cx.refuse(&asked, topic, &refusal);
        }
        let head = DeliveryHead {
            id: asked.request_id,
            target: publish.target,
            sender: self.who.client,
            user: self.who.user,
            timestamp: cx.timestamp,
            position: None,
            reply_to: publish.request.then_some(self.who.client),
            correlation_id: publish.correlation_id,
            exclude_sender: publish.exclude_sender,
        };
        let delivery = Delivery { head, headers: publish.headers, payload: publish.payload, job: None };
        let publish = PublishOp {
            target: publish.target,
            entry: Entry::encode(&delivery),
            fingerprint: publish.id.map(|_| self.fingerprint(publish, cx)),
            request: publish.request,
            // Over HTTP there is always an answer; and who is left out must learn which seq will not come.
            ack: publish.ack || publish.exclude_sender || self.channel == Channel::Http,
            exclude_sender: publish.exclude_sender,
            asked_abroad: false,
            received_us: cx.received_us,
            then: None,
            asked,
        };
        let homes = &cx.shared.homes;
        let home = match &publish.target {
            Target::Topic(topic) => homes.of_topic(topic),
            Target::Room(room) => homes.of_room(room),
            Target::Client(client) => homes.of_client(client),
            Target::User(user) => homes.of_user(user),
            Target::Everyone => 0,
        };
        cx.steps.push(Step::Ask(home, Op::Send(Box::new(publish))));
    }

    fn admit(&self, publish: &Publish<'_>, cx: &Context<'_>) -> Result<(), Refusal> {
        cx.refuse_while_draining()?;
        let reserved = |at: &'static str| Refusal::new(ErrorCode::InvalidName, "names that begin with _ belong to the server").at(at);
        let (permission, scope) = match publish.target {
            Target::Topic(topic) if topic.room.is_reserved() => return Err(reserved("/room")),
            Target::Topic(topic) if topic.channel.is_reserved() => return Err(reserved("/channel")),
            Target::Topic(topic) => (Permission::Publish, Scope::Topics(Pattern::from(topic))),
            Target::Room(room) if room.is_reserved() => return Err(reserved("/room")),
            Target::Room(_) => (Permission::BroadcastRoom, Scope::Bus),
            Target::Client(_) | Target::User(_) => (Permission::Private, Scope::Bus),
            Target::Everyone => (Permission::BroadcastAll, Scope::Bus),
        };
        permission::check(self, cx, permission, scope)?;
        if publish.request && matches!(publish.target, Target::Room(_) | Target::Everyone) {
            return Err(Refusal::new(ErrorCode::InvalidEnvelope, "a request goes to a topic, a client or a user").at("/request"));
        }
        if publish.request && self.channel == Channel::Http {
            return Err(Refusal::new(ErrorCode::Unsupported, "an answer has nowhere to go over HTTP").at("/request"));
        }
        Ok(())
    }

    /// The principal is the user where there is one, else the client; HTTP requests without a user are one principal together.
    fn fingerprint(&self, publish: &Publish<'_>, cx: &Context<'_>) -> Fingerprint {
        let principal = match (&self.who.user, self.channel) {
            (Some(user), _) => user.as_bytes(),
            (None, Channel::WebSocket) => self.who.client.as_bytes(),
            (None, Channel::Http) => b"",
        };
        let content = (publish.payload.as_str(), publish.headers.map(|headers| headers.as_str()), publish.correlation_id, publish.request);
        cx.shared.homes.fingerprint((principal, publish.id, publish.target), content)
    }
}
