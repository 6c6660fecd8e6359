//! `connect`: the client introduces itself.

use std::sync::Arc;

use arqonbus_protocol::{CloseCode, ConnectArgs, ConnectResult, ErrorCode, PROTOCOL_VERSION, Refusal, encode_ok, limits};

use crate::routing::{Asked, Op};
use crate::session::{About, Context, Identity, Session, Step};
use crate::telemetry::Signal;

pub(super) fn ask(session: &mut Session, asked: &Asked, args: ConnectArgs, cx: &mut Context<'_>) -> Result<(), Refusal> {
    if session.acted {
        return Err(Refusal::new(ErrorCode::Unsupported, "connect comes once, before anything else"));
    }
    if args.protocol.is_some_and(|version| version != PROTOCOL_VERSION) {
        cx.steps.push(Step::Close(CloseCode::Version));
        return Err(Refusal::new(ErrorCode::Unsupported, format!("this server speaks protocol {PROTOCOL_VERSION}")).at("/args/protocol"));
    }
    if args.metadata.as_ref().is_some_and(|metadata| serde_json::to_string(metadata).map_or(0, |json| json.len()) > limits::METADATA_BYTES_MAX) {
        return Err(Refusal::new(ErrorCode::TooLarge, format!("metadata has at most {} bytes", limits::METADATA_BYTES_MAX)).at("/args/metadata"));
    }
    let restored = args.resume.as_deref().and_then(|key| cx.shared.resume_keys.redeem(key, args.user.as_ref()));
    let client = restored.unwrap_or(session.who.client);
    cx.shared.telemetry.tell(&Signal::Identified { client, user: args.user, name: args.name.as_deref(), agent: args.agent.as_deref() });

    let before = session.who.client;
    let about = About { name: args.name, kind: args.kind, metadata: args.metadata };
    let says_something = about.name.is_some() || about.kind.is_some() || about.metadata.is_some();
    session.who = Arc::new(Identity { client, user: args.user, about: says_something.then(|| Box::new(about)) });
    session.acted = true;
    session.batch = args.batch;

    let homes = &cx.shared.homes;
    if client != before {
        cx.steps.push(Step::Ask(homes.of_client(&before), Op::Unregister { client: before, conn: session.conn }));
    }
    let result = ConnectResult {
        client,
        user: args.user,
        resume: cx.shared.resume_keys.issue(&client, args.user.as_ref()),
        resumed: restored.is_some(),
        batch: args.batch,
        heartbeat_ms: cx.shared.config.heartbeat_ms,
    };
    // The home of the client id answers, once private messages find this connection.
    let asked = Asked { who: Arc::clone(&session.who), ..asked.clone() };
    let reply = Some(encode_ok(&asked.request_id, &result).into());
    let register = (homes.of_client(&client), Op::Register { asked, reply, resumed: restored.is_some() });
    // The home of the user comes first, so that messages to either find this connection before the client is answered.
    let (home, op) = match args.user {
        Some(user) => (homes.of_user(&user), Op::RegisterUser { user, conn: session.conn, then: Box::new(register) }),
        None => register,
    };
    cx.steps.push(Step::Ask(home, op));
    Ok(())
}
