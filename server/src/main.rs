//! The `arqonbus` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    arqonbus_server::cli::main()
}
