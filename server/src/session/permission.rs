//! The one place where it is decided whether a client may do something.

use arqonbus_protocol::{Pattern, Permission, Refusal};

use super::{Context, Session};

/// What a permission is asked for.
#[derive(Debug, Clone, Copy)]
#[expect(dead_code, reason = "rules on topics read it once credentials are asked for")]
pub(crate) enum Scope {
    /// Topics.
    Topics(Pattern),
    /// The bus as a whole, or a person.
    Bus,
}

/// Whether the session's principal may use `permission` on `scope`, now.
///
/// Without credentials everybody may do everything; every path asks here all the same.
#[expect(clippy::unnecessary_wraps, reason = "rules will refuse here")]
pub(crate) fn check(_session: &Session, _cx: &Context<'_>, _permission: Permission, _scope: Scope) -> Result<(), Refusal> {
    Ok(())
}
