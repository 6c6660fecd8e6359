//! What happens in one run: a list of acts that can be shrunk, and a seed for the rest.

use proptest::collection::vec;
use proptest::prelude::*;

/// What may go wrong in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Connections are cut and slow; nothing else.
    Flaps,
    /// History is short, and the bus loses it altogether now and then.
    Losses,
    /// As [`Kind::Losses`], with a store that answers late.
    LateStore,
}

/// One run.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) kind: Kind,
    pub(crate) seed: u64,
    pub(crate) acts: Vec<Act>,
}

/// One thing done to the world. Clients, topics and patterns are taken modulo how many there are.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    /// An application publishes so many messages.
    Publish { client: usize, topic: usize, count: usize },
    /// An application publishes without asking for an ack.
    PublishNowait { client: usize, topic: usize },
    /// An application joins a topic or pattern.
    Join { client: usize, pattern: usize, replay: Option<u32> },
    /// An application leaves its nth subscription.
    Leave { client: usize, nth: usize },
    /// An application is slow for a while.
    Pause { client: usize, nth: usize },
    /// It goes on.
    Resume { client: usize, nth: usize },
    /// So many bytes go up and down between a client and the bus.
    Move { client: usize, up: usize, down: usize },
    /// The bus does so many things.
    Work { steps: usize },
    /// Everything that is under way arrives, at this moment.
    Flow,
    /// So many more bytes arrive each way, then the connection is cut.
    Cut { client: usize, up: usize, down: usize },
    /// The bus can write so many bytes to a client before the client reads.
    Narrow { client: usize, window: usize },
    /// Time passes.
    Pass { ms: u64 },
    /// The wall clock is set by so many hours.
    StepClock { hours: i64 },
    /// The bus ends and begins anew, with nothing.
    Restart,
}

/// Runs of one kind.
pub(crate) fn plans(kind: Kind) -> impl Strategy<Value = Plan> {
    (any::<u64>(), vec(act(kind), 5..80)).prop_map(move |(seed, acts)| Plan { kind, seed, acts })
}

fn act(kind: Kind) -> impl Strategy<Value = Act> {
    let restart = if kind == Kind::Flaps { Act::Flow } else { Act::Restart };
    let bytes = || prop_oneof![0..40_usize, 0..2_000_usize, Just(usize::MAX)];
    let ms = prop_oneof![4 => 0..50_u64, 2 => 0..1_500_u64, 1 => 0..30_000_u64];
    prop_oneof![
        8 => (0..8_usize, 0..8_usize, 1..6_usize).prop_map(|(client, topic, count)| Act::Publish { client, topic, count }),
        1 => (0..8_usize, 0..8_usize).prop_map(|(client, topic)| Act::PublishNowait { client, topic }),
        6 => (0..8_usize, 0..8_usize, prop_oneof![3 => Just(None), 1 => (0..20_u32).prop_map(Some)])
            .prop_map(|(client, pattern, replay)| Act::Join { client, pattern, replay }),
        1 => (0..8_usize, 0..4_usize).prop_map(|(client, nth)| Act::Leave { client, nth }),
        1 => (0..8_usize, 0..4_usize).prop_map(|(client, nth)| Act::Pause { client, nth }),
        1 => (0..8_usize, 0..4_usize).prop_map(|(client, nth)| Act::Resume { client, nth }),
        6 => (0..8_usize, bytes(), bytes()).prop_map(|(client, up, down)| Act::Move { client, up, down }),
        6 => (0..40_usize).prop_map(|steps| Act::Work { steps }),
        5 => Just(Act::Flow),
        4 => (0..8_usize, bytes(), bytes()).prop_map(|(client, up, down)| Act::Cut { client, up, down }),
        1 => (0..8_usize, 1..2_000_usize).prop_map(|(client, window)| Act::Narrow { client, window }),
        5 => ms.prop_map(|ms| Act::Pass { ms }),
        1 => (-24..=24_i64).prop_map(|hours| Act::StepClock { hours }),
        1 => Just(restart),
    ]
}
