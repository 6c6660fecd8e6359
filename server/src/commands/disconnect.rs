//! `disconnect`: an administrator closes the connections of a client or user.

use arqonbus_protocol::{DisconnectArgs, ErrorCode, Refusal};

use crate::peers::letter::Whom;
use crate::routing::{Asked, Op};
use crate::session::{Context, Step};

pub(super) fn ask(asked: Asked, args: &DisconnectArgs, cx: &mut Context<'_>) -> Result<(), Refusal> {
    let homes = &cx.shared.homes;
    let (home, whom) = match (args.client, args.user) {
        (Some(client), None) => (homes.of_client(&client), Whom::Client(client)),
        (None, Some(user)) => (homes.of_user(&user), Whom::User(user)),
        _ => return Err(Refusal::new(ErrorCode::InvalidArgs, "either client or user").at("/args")),
    };
    cx.steps.push(Step::Ask(home, Op::Kick { asked, whom }));
    Ok(())
}
