//! `help`: the commands, from the one table.

use arqonbus_protocol::{COMMANDS, CommandHelp, CommandSpec, ErrorCode, HelpArgs, HelpResult, Refusal};

use crate::routing::Asked;
use crate::session::Context;

pub(super) fn ask(asked: &Asked, args: &HelpArgs, cx: &mut Context<'_>) -> Result<(), Refusal> {
    let wanted = |spec: &&CommandSpec| args.command.as_ref().is_none_or(|command| command == spec.name);
    let commands: Vec<CommandHelp> = COMMANDS.iter().filter(wanted).map(help).collect();
    if commands.is_empty() {
        return Err(Refusal::new(ErrorCode::UnknownCommand, "there is no such command").at("/args/command"));
    }
    cx.ok(asked, &HelpResult { commands });
    Ok(())
}

fn help(spec: &CommandSpec) -> CommandHelp {
    CommandHelp { name: spec.name.into(), summary: spec.summary.into(), permission: spec.permission, args: spec.arg_names() }
}
