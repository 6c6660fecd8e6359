//! What it means for a question that Redis did not do it.

use super::desk::Failure;
use super::{Code, LinkError};

/// What Redis answered is nothing that a function of ours answers.
pub(super) fn unreadable() -> Failure {
    Failure { sure: false, outage: false, why: "Redis answered something that no script of ours does".to_owned() }
}

/// Whether Redis has to be told the functions first.
pub(super) fn is_unknown_function(error: &LinkError) -> bool {
    matches!(error, LinkError::Refused { code: Code::Other, why } if why.contains("Function not found"))
}

/// Whether the functions have to be told which incarnation the server is.
pub(super) fn is_unvouched(error: &LinkError) -> bool {
    matches!(error, LinkError::Refused { code: Code::NoInfo, .. })
}

/// Whether a function that met this has certainly changed nothing: each of its writes would have met the same.
pub(super) fn is_sure(error: &LinkError) -> bool {
    match error {
        LinkError::NotSent(_) => true,
        LinkError::Unknown(_) => false,
        LinkError::Refused { code, .. } => !matches!(code, Code::Other | Code::WrongType | Code::Busy | Code::NoInfo),
    }
}

/// Whether another question would meet the same.
pub(super) fn is_outage(error: &LinkError) -> bool {
    match error {
        LinkError::NotSent(_) | LinkError::Unknown(_) => true,
        // Without functions nothing works.
        LinkError::Refused { code: Code::Other, why } => why.contains("unknown command") || why.contains("Function not found"),
        LinkError::Refused { code, .. } => !matches!(code, Code::WrongType | Code::CrossSlot | Code::NoScript),
    }
}
