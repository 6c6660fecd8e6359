//! `arqonbus schema`: the wire, for machines.

use clap::Args;

use super::exit::Failure;
use super::output;

/// `arqonbus schema`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  arqonbus schema\n  arqonbus schema asyncapi.json > asyncapi.json")]
pub(super) struct SchemaArgs {
    /// Which file to print; without it, the names of all.
    file: Option<String>,
}

/// Runs it.
pub(super) fn run(args: &SchemaArgs) -> Result<(), Failure> {
    let files = arqonbus_protocol::schema::files();
    let Some(wanted) = &args.file else {
        return Ok(files.iter().try_for_each(|(name, _)| output::line(name))?);
    };
    let found = files.iter().find(|(name, _)| name == wanted || name.strip_suffix(".json") == Some(wanted));
    match found {
        Some((_, text)) => Ok(output::text(text)?),
        None => Err(Failure::Usage(format!("there is no schema file {wanted:?}; `arqonbus schema` lists them"))),
    }
}
