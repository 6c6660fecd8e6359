//! The closed lists of the wire as one JSON document: codes, permissions, commands, events, limits.

use serde_json::{Value, json};

use super::events::EVENTS;
use crate::limits::ALL as LIMITS;
use crate::{COMMANDS, COMMON_ERRORS, CloseCode, ErrorCode, PROTOCOL_VERSION, Permission, SUBPROTOCOL};

/// `codes.json`.
pub(super) fn lists() -> Value {
    let errors: Vec<_> = ErrorCode::ALL.iter().map(|code| error(*code)).collect();
    let closes: Vec<_> = CloseCode::ALL.iter().map(|code| close(*code)).collect();
    let permissions: Vec<_> = Permission::ALL.iter().map(|permission| json!({ "name": permission, "summary": permission.summary() })).collect();
    let commands: Vec<_> = COMMANDS
        .iter()
        .map(|command| json!({ "name": command.name, "summary": command.summary, "permission": command.permission, "errors": command.errors }))
        .collect();
    let events: Vec<_> =
        EVENTS.iter().map(|event| json!({ "name": event.name, "summary": event.summary, "about_topic": event.about_topic })).collect();
    let limits: Vec<_> =
        LIMITS.iter().map(|limit| json!({ "name": limit.name.to_lowercase(), "value": limit.value, "summary": limit.summary })).collect();
    json!({
        "protocol": PROTOCOL_VERSION,
        "subprotocol": SUBPROTOCOL,
        "errors": errors,
        "common_errors": COMMON_ERRORS,
        "closes": closes,
        "permissions": permissions,
        "commands": commands,
        "events": events,
        "limits": limits,
    })
}

fn error(code: ErrorCode) -> Value {
    json!({
        "code": code,
        "summary": code.summary(),
        "retry": code.retry(),
        "http_status": code.http_status(),
        "malformed": code.is_malformed(),
    })
}

fn close(code: CloseCode) -> Value {
    json!({ "code": code.code(), "reason": code.reason(), "comes_back": CloseCode::comes_back(code.code()) })
}
