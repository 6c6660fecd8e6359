//! Events of the core in the words of the dialogues.

use arqonbus_client::Message;
use arqonbus_client::core::{CallId, EndReason, Event, Failure, Fault, SubscriptionId};
use serde_json::{Value, json};

/// One event; subscriptions and calls are named by their numbers.
pub(super) fn event(event: Event) -> Value {
    match event {
        Event::State(state) => json!({ "event": "state", "state": state.as_str() }),
        Event::Connected { client, user, resumed } => json!({ "event": "connected", "client": client, "user": user, "resumed": resumed }),
        Event::Lost { why } => json!({ "event": "lost", "why": why }),
        Event::Closed(fault) => closed(&fault),
        Event::TokenNeeded => json!({ "event": "token_needed" }),
        Event::Joined { subscription, result, again } => {
            of(subscription, json!({ "event": "joined", "again": again, "topics": result.topics.len(), "complete": result.complete }))
        }
        Event::Message { subscription, message: received } => of(subscription, message(&received, "message")),
        Event::Job { job, message: received } => {
            let mut rendered = message(&received, "job");
            rendered["delivery"] = job.delivery.into();
            of(job.subscription, rendered)
        }
        Event::JobsLost { subscription, jobs } => of(subscription, json!({ "event": "jobs_lost", "jobs": jobs })),
        Event::Settled { call, outcome } => outcome_of(call, outcome.map(|()| json!({ "event": "settled" }))),
        Event::Gap { subscription, topic, gap } => of(
            subscription,
            json!({
                "event": "gap", "topic": topic.to_string(), "reason": gap.reason, "from": gap.from, "to": gap.to,
                "refetch_after_ms": gap.refetch_after_ms,
            }),
        ),
        Event::Presence { subscription, topic, joined, presence } => {
            let name = if joined { "member_joined" } else { "member_left" };
            of(subscription, json!({ "event": name, "topic": topic.to_string(), "client": presence.client, "members": presence.members }))
        }
        Event::Deleted { subscription, topic, by } => of(subscription, json!({ "event": "deleted", "topic": topic.to_string(), "by": by })),
        Event::Ended { subscription, reason } => of(subscription, ended(&reason)),
        Event::Inbox(received) => message(&received, "inbox"),
        Event::Missed { count } => json!({ "event": "missed", "count": count }),
        Event::Published { call, outcome } => outcome_of(
            call,
            outcome.map(|ack| {
                let mut rendered = serde_json::to_value(ack).expect("a result is JSON");
                rendered["event"] = "acked".into();
                rendered
            }),
        ),
        Event::Replied { call, outcome } => outcome_of(call, outcome.map(|reply| message(&reply, "replied"))),
        Event::Answered { call, outcome } => outcome_of(call, outcome.map(|result| json!({ "event": "answered", "result": parse(&result) }))),
        Event::Refused(refusal) => json!({ "event": "refused", "code": refusal.code }),
    }
}

fn of(subscription: SubscriptionId, mut rendered: Value) -> Value {
    rendered["sub"] = subscription.0.into();
    rendered
}

fn outcome_of(call: CallId, outcome: Result<Value, Failure>) -> Value {
    let mut rendered = outcome.unwrap_or_else(|failure| match failure {
        Failure::Rejected(refusal) => {
            json!({ "event": "rejected", "code": refusal.code, "retry": refusal.retry, "retry_after_ms": refusal.retry_after_ms })
        }
        Failure::Unknown => json!({ "event": "unknown" }),
        Failure::NotSent => json!({ "event": "not_sent" }),
    });
    rendered["call"] = call.0.into();
    rendered
}

fn message(message: &Message, event: &str) -> Value {
    json!({
        "event": event, "id": message.id(), "to": message.target().to_string(), "sender": message.sender(),
        "epoch": message.position().map(|position| position.epoch), "seq": message.position().map(|position| position.seq),
        "payload": parse(message.payload_json()), "headers": message.headers(), "reply_to": message.reply_to(),
    })
}

fn closed(fault: &Fault) -> Value {
    match fault {
        Fault::Closed => json!({ "event": "closed", "reason": "closed" }),
        Fault::Unreachable(why) => json!({ "event": "closed", "reason": "unreachable", "why": why }),
        Fault::Refused(refusal) => json!({ "event": "closed", "reason": "refused", "code": refusal.code }),
        Fault::ClosedByServer(code) => json!({ "event": "closed", "reason": "closed_by_server", "code": code }),
    }
}

fn ended(reason: &EndReason) -> Value {
    match reason {
        EndReason::Left => json!({ "event": "ended", "reason": "left" }),
        EndReason::Deleted { by } => json!({ "event": "ended", "reason": "deleted", "by": by }),
        EndReason::Refused(refusal) => json!({ "event": "ended", "reason": "refused", "code": refusal.code }),
        EndReason::TimedOut => json!({ "event": "ended", "reason": "timed_out" }),
        EndReason::TooManyTopics => json!({ "event": "ended", "reason": "too_many_topics" }),
        EndReason::Closed(_) => json!({ "event": "ended", "reason": "closed" }),
    }
}

fn parse(text: &str) -> Value {
    serde_json::from_str(text).expect("what the core gives is JSON")
}
