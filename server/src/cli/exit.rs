//! How a command ends: what is said, and with which code.

use std::io;
use std::process::ExitCode;

use crate::config::ConfigErrors;

/// Why a command did not do what it was asked.
#[derive(Debug)]
pub(super) enum Failure {
    /// It was tried, and refused or failed.
    Failed(String),
    /// It was asked for in a way that makes no sense.
    Usage(String),
    /// No connection to the bus.
    CannotConnect(String),
    /// No answer in time, or an outcome that nobody knows.
    Unknown(String),
    /// By Ctrl-C or SIGTERM.
    Interrupted,
    /// Whoever read the output has seen enough.
    NobodyReads,
}

impl Failure {
    /// Says why on standard error, where there is something to say, and gives the exit code.
    pub(super) fn end(&self) -> ExitCode {
        let (code, why) = match self {
            Self::Failed(why) => (1, Some(why)),
            Self::Usage(why) => (2, Some(why)),
            Self::CannotConnect(why) => (3, Some(why)),
            Self::Unknown(why) => (4, Some(why)),
            Self::Interrupted => (130, None),
            Self::NobodyReads => (0, None),
        };
        if let Some(why) = why {
            super::output::note(&format!("error: {why}"));
        }
        ExitCode::from(code)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe { Self::NobodyReads } else { Self::Failed(error.to_string()) }
    }
}

impl From<ConfigErrors> for Failure {
    fn from(errors: ConfigErrors) -> Self {
        let count = errors.0.len();
        Self::Usage(format!("the configuration has {count} mistake{}:\n{errors}", if count == 1 { "" } else { "s" }))
    }
}
