//! The closed lists that metrics are labelled with. There is no other way to make a label, so none holds user input.

use std::borrow::Cow;

use arqonbus_protocol::{COMMANDS, CloseCode, CommandSpec, ErrorCode, GapReason, StorageState};

/// A member of a closed list.
pub trait Label: Copy + 'static {
    /// The label's name.
    const NAME: &'static str;

    /// The members, in order of their index.
    fn all() -> impl Iterator<Item = Self>;

    /// Its place in [`Self::all`].
    fn index(self) -> usize;

    /// Its value in the exposition.
    fn text(self) -> Cow<'static, str>;
}

impl Label for ErrorCode {
    const NAME: &'static str = "code";

    fn all() -> impl Iterator<Item = Self> {
        Self::ALL.iter().copied()
    }

    fn index(self) -> usize {
        self as usize
    }

    fn text(self) -> Cow<'static, str> {
        self.as_str().into()
    }
}

impl Label for &'static CommandSpec {
    const NAME: &'static str = "command";

    fn all() -> impl Iterator<Item = Self> {
        COMMANDS.iter()
    }

    fn index(self) -> usize {
        COMMANDS.iter().position(|spec| spec.name == self.name).expect("the table has every command")
    }

    fn text(self) -> Cow<'static, str> {
        self.name.into()
    }
}

impl Label for GapReason {
    const NAME: &'static str = "reason";

    fn all() -> impl Iterator<Item = Self> {
        use GapReason::{Ahead, Conflated, Degraded, EpochChanged, Limit, Restored, Trimmed};
        [EpochChanged, Trimmed, Ahead, Degraded, Restored, Conflated, Limit].into_iter()
    }

    fn index(self) -> usize {
        self as usize
    }

    fn text(self) -> Cow<'static, str> {
        self.as_str().into()
    }
}

impl Label for StorageState {
    const NAME: &'static str = "state";

    fn all() -> impl Iterator<Item = Self> {
        [Self::Healthy, Self::Degraded, Self::Healing].into_iter()
    }

    fn index(self) -> usize {
        self as usize
    }

    fn text(self) -> Cow<'static, str> {
        match self {
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::Healing => "healing",
        }
        .into()
    }
}

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The server closed it, for this.
    Closed(CloseCode),
    /// The peer closed it, with whatever code.
    ByPeer,
    /// The socket failed, or ended without a close frame.
    Lost,
}

impl From<CloseCode> for Ended {
    fn from(code: CloseCode) -> Self {
        Self::Closed(code)
    }
}

impl Label for Ended {
    const NAME: &'static str = "code";

    fn all() -> impl Iterator<Item = Self> {
        CloseCode::ALL.iter().copied().map(Self::Closed).chain([Self::ByPeer, Self::Lost])
    }

    fn index(self) -> usize {
        match self {
            Self::Closed(code) => CloseCode::ALL.iter().position(|known| *known == code).expect("the list has every code"),
            Self::ByPeer => CloseCode::ALL.len(),
            Self::Lost => CloseCode::ALL.len() + 1,
        }
    }

    fn text(self) -> Cow<'static, str> {
        match self {
            Self::Closed(code) => code.code().to_string().into(),
            Self::ByPeer => "peer".into(),
            Self::Lost => "lost".into(),
        }
    }
}

/// Defines a closed list that only labels and logs know.
macro_rules! label {
    ($(#[$doc:meta])* $list:ident $name:literal { $($(#[$about:meta])+ $variant:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $list { $($(#[$about])+ $variant,)+ }

        impl $crate::telemetry::labels::Label for $list {
            const NAME: &'static str = $name;

            fn all() -> impl Iterator<Item = Self> {
                [$(Self::$variant),+].into_iter()
            }

            fn index(self) -> usize {
                self as usize
            }

            fn text(self) -> std::borrow::Cow<'static, str> {
                match self { $(Self::$variant => $text),+ }.into()
            }
        }
    };
}

pub(super) use label;

label! {
    /// Why a connection was refused before it became a session.
    TurnedAway "reason" {
        /// As many as are allowed are open.
        Full = "full",
        /// The server is shutting down.
        Draining = "draining",
        /// A browser of a foreign origin.
        Origin = "origin",
        /// Not a valid WebSocket handshake.
        Handshake = "handshake",
    }
}

label! {
    /// Why a job came back to its group.
    Returned "reason" {
        /// Its member gave it back.
        Nacked = "nacked",
        /// It was not settled in time.
        TimedOut = "timed_out",
        /// Its member is gone.
        MemberLost = "member_lost",
    }
}

#[cfg(test)]
mod tests {
    use super::super::signal::SignalKind;
    use super::*;

    fn in_order_without_doubles<L: Label>() {
        let texts: Vec<_> = L::all().map(Label::text).collect();
        assert!(!texts.is_empty());
        assert_eq!(texts.iter().collect::<std::collections::BTreeSet<_>>().len(), texts.len(), "{texts:?}");
        for (index, label) in L::all().enumerate() {
            assert_eq!(label.index(), index, "{}", label.text());
            assert!(label.text().bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'), "{}", label.text());
        }
    }

    #[test]
    fn every_label_has_its_own_place_and_text() {
        in_order_without_doubles::<ErrorCode>();
        in_order_without_doubles::<&'static CommandSpec>();
        in_order_without_doubles::<GapReason>();
        in_order_without_doubles::<StorageState>();
        in_order_without_doubles::<Ended>();
        in_order_without_doubles::<TurnedAway>();
        in_order_without_doubles::<Returned>();
        in_order_without_doubles::<SignalKind>();
    }
}
