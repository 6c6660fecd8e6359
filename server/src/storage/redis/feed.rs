//! The connection that is only listened to: what other nodes publish in Redis.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ::redis::{PushInfo, PushKind, Value, cmd};
use bytes::Bytes;
use tokio::sync::{Notify, mpsc, oneshot};

use super::backoff::Backoff;
use super::link::Task;
use super::way::{Connection, Push, Way};
use super::{LinkError, OpenError};
use crate::config;

/// Wishes that may wait; whoever has more waits itself.
const WISHES_WAITING: usize = 1_024;
/// Channels in one command, so that a long list does not hold up what is published meanwhile.
const CHANNELS_AT_ONCE: usize = 1_000;
/// Milliseconds between two proofs that the connection is alive.
const PROOF_MS: u64 = 2_000;

/// Follows channels in Redis. It ends when it is dropped.
///
/// It remembers what is followed, and follows it again on every new connection.
pub struct Feed {
    wishes: mpsc::Sender<Wish>,
    _task: Task,
}

/// What the feed has to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pushed {
    /// Somebody published this.
    Message {
        /// The channel.
        channel: Bytes,
        /// What was published.
        payload: Bytes,
    },
    /// From now on everything followed comes again; what came since the last message may be lost. Also said of the first connection, and when
    /// more came than was taken.
    Interrupted,
}

struct Wish {
    follow: bool,
    channels: Vec<Vec<u8>>,
    done: oneshot::Sender<Result<(), LinkError>>,
}

impl Feed {
    /// Begins to connect; to be called within a tokio runtime. What comes goes to `pushes`, which never waits: when it is full, messages are
    /// dropped and [`Pushed::Interrupted`] follows. `salt` is random.
    ///
    /// # Errors
    /// Where the configuration can lead to no server at all.
    pub fn open(config: &config::Redis, salt: u64, pushes: mpsc::Sender<Pushed>) -> Result<Self, OpenError> {
        let way = Way::prepare(config)?;
        let (wishes, inbox) = mpsc::channel(WISHES_WAITING);
        let keeper = Keeper {
            way,
            backoff: Backoff::new(config.backoff_min_ms, config.backoff_max_ms, salt),
            response: Duration::from_millis(config.response_ms),
            followed: BTreeSet::new(),
            inbox,
            waiting: Vec::new(),
            pushes,
            told: String::new(),
        };
        Ok(Self { wishes, _task: Task(tokio::spawn(keeper.run())) })
    }

    /// Follows these channels. Wishes are carried out in the order in which they were taken, and this one is once this returns.
    pub async fn follow(&self, channels: Vec<Vec<u8>>) -> Confirmation {
        self.wish(true, channels).await
    }

    /// Follows these no more.
    pub async fn unfollow(&self, channels: Vec<Vec<u8>>) -> Confirmation {
        self.wish(false, channels).await
    }

    async fn wish(&self, follow: bool, channels: Vec<Vec<u8>>) -> Confirmation {
        let (done, answer) = oneshot::channel();
        // Where the feed has ended, the confirmation says so.
        let _ = self.wishes.send(Wish { follow, channels, done }).await;
        Confirmation(answer)
    }
}

/// What Redis says to a wish.
#[derive(Debug)]
pub struct Confirmation(oneshot::Receiver<Result<(), LinkError>>);

impl Confirmation {
    /// Waits for it: what is published in a channel from then on comes, or comes no more.
    ///
    /// # Errors
    /// Where there is none now. Channels are followed all the same as soon as there is a connection, and [`Pushed::Interrupted`] says so.
    pub async fn confirmed(self) -> Result<(), LinkError> {
        self.0.await.unwrap_or_else(|_| Err(LinkError::NotSent("the feed has ended".to_owned())))
    }
}

impl std::fmt::Debug for Feed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Feed").finish_non_exhaustive()
    }
}

/// What a connection's own task tells the keeper.
#[derive(Default)]
struct Signs {
    bell: Notify,
    lost: AtomicBool,
    overflown: AtomicBool,
    /// Channels that Redis sends no more: because we asked, or because their slot has moved.
    ended: Mutex<Vec<Vec<u8>>>,
}

/// Keeps the connection of a feed.
struct Keeper {
    way: Way,
    backoff: Backoff,
    response: Duration,
    followed: BTreeSet<Vec<u8>>,
    inbox: mpsc::Receiver<Wish>,
    /// Taken, and not carried out.
    waiting: Vec<Wish>,
    pushes: mpsc::Sender<Pushed>,
    /// What Redis refuses, as it was last said.
    told: String,
}

impl Keeper {
    async fn run(mut self) {
        loop {
            let signs = Arc::new(Signs::default());
            let why = match self.begin(&signs).await {
                Ok(connection) => {
                    self.backoff.reset();
                    if self.pushes.send(Pushed::Interrupted).await.is_err() {
                        return;
                    }
                    self.serve(connection, &signs).await
                }
                Err(why) => why,
            };
            tracing::debug!(why, "the feed is interrupted");
            if !self.pause(&why).await {
                return;
            }
        }
    }

    /// Makes a connection on which everything followed comes.
    async fn begin(&mut self, signs: &Arc<Signs>) -> Result<Connection, String> {
        let mut connection = self.way.connect(receiver(Arc::clone(signs), self.pushes.clone())).await.map_err(|error| error.to_string())?;
        let all: Vec<Vec<u8>> = self.followed.iter().cloned().collect();
        for channels in all.chunks(CHANNELS_AT_ONCE) {
            if let Err(error) = within(self.response * 4, connection.subscribe(channels)).await {
                self.complain(&error);
                return Err(error.to_string());
            }
        }
        self.told.clear();
        Ok(connection)
    }

    /// Says what Redis refuses, once: what other nodes publish is then found only by looking, seconds later.
    fn complain(&mut self, error: &LinkError) {
        let LinkError::Refused { why, .. } = error else { return };
        if *why != self.told {
            tracing::warn!(why, "Redis does not let its channels be followed");
            self.told.clone_from(why);
        }
    }

    /// Carries wishes out until the connection is lost; gives the reason.
    async fn serve(&mut self, mut connection: Connection, signs: &Signs) -> String {
        loop {
            tokio::select! {
                biased;
                () = std::future::ready(()), if !self.waiting.is_empty() => {}
                () = signs.bell.notified() => {}
                count = self.inbox.recv_many(&mut self.waiting, WISHES_WAITING) => if count == 0 { return "nobody listens".to_owned() },
                () = tokio::time::sleep(Duration::from_millis(PROOF_MS)) => {
                    // A connection that died without a word is found out by asking.
                    if let Err(error) = within(self.response, connection.send(&cmd("PING"))).await {
                        return error.to_string();
                    }
                }
            }
            if let Err(why) = self.carry_out(&mut connection).await {
                return why;
            }
            if signs.lost.load(Ordering::Acquire) {
                return "the connection was closed".to_owned();
            }
            let ended = std::mem::take(&mut *signs.ended.lock().unwrap_or_else(PoisonError::into_inner));
            if ended.iter().any(|channel| self.followed.contains(channel)) {
                return "a slot has moved".to_owned();
            }
            if signs.overflown.swap(false, Ordering::AcqRel) && self.pushes.send(Pushed::Interrupted).await.is_err() {
                return "nobody listens".to_owned();
            }
        }
    }

    /// Carries the first wishes out: those of one kind that came together, with one command.
    async fn carry_out(&mut self, connection: &mut Connection) -> Result<(), String> {
        let Some(follow) = self.waiting.first().map(|wish| wish.follow) else { return Ok(()) };
        let of_one_kind = self.waiting.iter().take_while(|wish| wish.follow == follow).count();
        let mut wishes: Vec<Wish> = self.waiting.drain(..of_one_kind).collect();
        wishes.iter().for_each(|wish| self.note(wish));
        let channels: Vec<Vec<u8>> = wishes.iter_mut().flat_map(|wish| std::mem::take(&mut wish.channels)).collect();
        let outcome = self.wish_of_redis(connection, follow, &channels).await;
        if let Err(error) = &outcome {
            self.complain(error);
        }
        for wish in wishes {
            // Whoever asked may have stopped waiting.
            let _ = wish.done.send(outcome.clone());
        }
        match outcome {
            // Refused for the user's permissions: another connection would not help.
            Ok(()) | Err(LinkError::Refused { .. }) => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    }

    async fn wish_of_redis(&self, connection: &mut Connection, follow: bool, channels: &[Vec<u8>]) -> Result<(), LinkError> {
        let time = self.response * 2;
        for channels in channels.chunks(CHANNELS_AT_ONCE) {
            if follow {
                within(time, connection.subscribe(channels)).await?;
            } else {
                within(time, connection.unsubscribe(channels)).await?;
            }
        }
        Ok(())
    }

    fn note(&mut self, wish: &Wish) {
        for channel in &wish.channels {
            if wish.follow {
                self.followed.insert(channel.clone());
            } else {
                self.followed.remove(channel);
            }
        }
    }

    /// Waits before the next attempt; wishes are noted and answered. Gives whether there is to be one.
    async fn pause(&mut self, why: &str) -> bool {
        let wait = tokio::time::sleep(self.backoff.wait());
        tokio::pin!(wait);
        loop {
            for wish in std::mem::take(&mut self.waiting) {
                self.note(&wish);
                let _ = wish.done.send(Err(LinkError::NotSent(why.to_owned())));
            }
            tokio::select! {
                () = &mut wait => return true,
                count = self.inbox.recv_many(&mut self.waiting, WISHES_WAITING) => if count == 0 { return false },
            }
        }
    }
}

async fn within<T>(time: Duration, future: impl Future<Output = ::redis::RedisResult<T>>) -> Result<T, LinkError> {
    match tokio::time::timeout(time, future).await {
        Ok(answer) => answer.map_err(LinkError::from),
        Err(_) => Err(LinkError::Unknown("no answer in time".to_owned())),
    }
}

/// Takes what Redis pushes, without waiting.
fn receiver(signs: Arc<Signs>, pushes: mpsc::Sender<Pushed>) -> Push {
    Arc::new(move |info: PushInfo| {
        let mut parts = info.data.into_iter();
        match (&info.kind, parts.next(), parts.next()) {
            (PushKind::Message | PushKind::SMessage, Some(Value::BulkString(channel)), Some(Value::BulkString(payload))) => {
                let taken = pushes.try_send(Pushed::Message { channel: channel.into(), payload: payload.into() }).is_ok();
                signs.overflown.fetch_or(!taken, Ordering::AcqRel);
                if !taken {
                    signs.bell.notify_one();
                }
            }
            (PushKind::SUnsubscribe, Some(Value::BulkString(channel)), _) => {
                signs.ended.lock().unwrap_or_else(PoisonError::into_inner).push(channel);
                signs.bell.notify_one();
            }
            (PushKind::Disconnection, ..) => {
                signs.lost.store(true, Ordering::Release);
                signs.bell.notify_one();
            }
            // Confirmations, which the connection itself waits for.
            _ => {}
        }
    })
}
