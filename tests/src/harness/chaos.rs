//! A TCP proxy that breaks connections by plan: it delays, slices, cuts at a byte, half-closes, resets, and swallows.
//!
//! Every plan comes from a seed, so a failure is seen again by running with the seed that it printed.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::Reach;

/// A small generator of numbers (SplitMix64): the same seed, the same numbers.
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// Starts at a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % bound.max(1)
    }
}

/// What happens to one direction of one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Fate {
    /// Before each piece, up to so many milliseconds pass.
    pub delay_ms: u64,
    /// Pieces are at most so many bytes; 0 for as they come.
    pub slice: usize,
    /// After so many bytes, this happens.
    pub cut: Option<(u64, Cut)>,
}

/// How a direction ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// Both directions are reset.
    Reset,
    /// The receiver sees an end of stream; the other direction goes on.
    HalfClose,
    /// Bytes are read and go nowhere.
    BlackHole,
}

/// The fate of one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Plan {
    /// From client to server.
    pub up: Fate,
    /// From server to client.
    pub down: Fate,
}

/// A running proxy. Dropping it resets everything that it carries.
#[derive(Debug)]
pub struct Chaos {
    address: SocketAddr,
    carried: Arc<AtomicU64>,
    reset_all: watch::Sender<u64>,
    accepting: JoinHandle<()>,
}

impl Chaos {
    /// Starts one before `target`; `plan` gives the fate of the connection with that number, the first being 0.
    pub async fn before(target: SocketAddr, seed: u64, plan: impl Fn(u64, &mut Dice) -> Plan + Send + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let address = listener.local_addr().expect("a bound listener");
        let carried = Arc::new(AtomicU64::new(0));
        let (reset_all, resets) = watch::channel(0);
        let count = Arc::clone(&carried);
        let accepting = tokio::spawn(async move {
            let mut dice = Dice::new(seed);
            while let Ok((client, _)) = listener.accept().await {
                let plan = plan(count.fetch_add(1, Ordering::Relaxed), &mut dice);
                let dice = Dice::new(dice.below(u64::MAX));
                tokio::spawn(carry(client, target, plan, dice, resets.clone()));
            }
        });
        Self { address, carried, reset_all, accepting }
    }

    /// Connections accepted so far.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.carried.load(Ordering::Relaxed)
    }

    /// Resets every connection that is open now.
    pub fn flap(&self) {
        self.reset_all.send_modify(|count| *count += 1);
    }
}

impl Drop for Chaos {
    fn drop(&mut self) {
        self.accepting.abort();
        self.flap();
    }
}

impl Reach for Chaos {
    fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Carries one connection until it ends by itself, by plan, or by a flap.
async fn carry(mut client: TcpStream, target: SocketAddr, plan: Plan, mut dice: Dice, mut resets: watch::Receiver<u64>) {
    resets.mark_unchanged();
    let Ok(mut server) = TcpStream::connect(target).await else { return };
    for stream in [&client, &server] {
        let _ = stream.set_nodelay(true);
    }
    let other = Dice::new(dice.below(u64::MAX));
    // Borrowed halves: owned ones would end the stream in good order when they are dropped.
    let (client_read, client_write) = client.split();
    let (server_read, server_write) = server.split();
    let up = pump(client_read, server_write, plan.up, dice);
    let down = pump(server_read, client_write, plan.down, other);
    let orderly = tokio::select! {
        _ = resets.changed() => false,
        ended = async { tokio::try_join!(up, down) } => ended.is_ok(),
    };
    if !orderly {
        for stream in [&client, &server] {
            let _ = stream.set_zero_linger();
        }
    }
}

/// Why the whole connection ends.
struct Broken;

/// Moves bytes one way by its fate.
async fn pump(mut from: ReadHalf<'_>, mut to: WriteHalf<'_>, fate: Fate, mut dice: Dice) -> Result<(), Broken> {
    let mut buffer = vec![0; if fate.slice == 0 { 64 * 1024 } else { fate.slice }];
    let mut moved = 0u64;
    let mut swallow = false;
    loop {
        let size = from.read(&mut buffer).await.map_err(|_| Broken)?;
        if size == 0 {
            let _ = to.shutdown().await;
            return Ok(());
        }
        if swallow {
            continue;
        }
        if fate.delay_ms > 0 {
            tokio::time::sleep(Duration::from_millis(dice.below(fate.delay_ms + 1))).await;
        }
        let room = fate.cut.map_or(u64::MAX, |(at, _)| at - moved);
        let pass = usize::try_from(room).map_or(size, |room| room.min(size));
        to.write_all(&buffer[..pass]).await.map_err(|_| Broken)?;
        moved += pass as u64;
        match fate.cut {
            Some((at, cut)) if moved >= at => match cut {
                Cut::Reset => return Err(Broken),
                Cut::HalfClose => {
                    let _ = to.shutdown().await;
                    swallow = true;
                }
                Cut::BlackHole => swallow = true,
            },
            _ => {}
        }
    }
}
