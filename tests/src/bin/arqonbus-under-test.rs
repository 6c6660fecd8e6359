//! The `arqonbus` command, built with the tests that start it.

use std::process::ExitCode;

fn main() -> ExitCode {
    arqonbus_server::cli::main()
}
