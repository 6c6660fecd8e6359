//! The connection that commands go by: one for all, kept up by a task of its own.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ::redis::{Cmd, Pipeline, PushKind, RedisResult, Value};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use super::backoff::Backoff;
use super::way::{Connection, Way};
use super::{Facts, LinkError, OpenError};
use crate::config;

/// Milliseconds between two looks at the server at the other end: is it still there, still a primary, still configured as it was.
const LOOK_MS: u64 = 2_000;

/// The way to Redis for commands. Clones are the same link; it ends with the last of them.
///
/// Commands of all users share one connection and are written as they come, without waiting for answers. So a command that waits in Redis (`BLOCK`, `WAIT`)
/// holds up everybody behind it. In a cluster a command may be sent again after its connection broke: what is sent must be harmless when it is done twice.
#[derive(Clone)]
pub struct Link {
    inner: Arc<Inner>,
    _task: Arc<Task>,
}

/// Whether Redis can be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkState {
    /// There is no connection; one is being made.
    Down {
        /// Why not.
        why: Arc<str>,
    },
    /// There is one.
    Up {
        /// Counts connections: another number means that one was lost in between.
        connection: u64,
        /// What is at the other end.
        facts: Arc<Facts>,
    },
}

struct Inner {
    connection: Mutex<Option<Connection>>,
    state: watch::Sender<LinkState>,
    /// Somebody has reason to doubt the connection.
    doubt: Notify,
    response: Duration,
    is_cluster: bool,
}

impl Link {
    /// Begins to connect; to be called within a tokio runtime, which carries the connection from then on. `salt` is random.
    ///
    /// # Errors
    /// Where the configuration can lead to no server at all. That none answers is no error here: see [`Link::state`].
    pub fn open(config: &config::Redis, salt: u64) -> Result<Self, OpenError> {
        let way = Way::prepare(config)?;
        let inner = Arc::new(Inner {
            connection: Mutex::new(None),
            state: watch::Sender::new(LinkState::Down { why: "not connected yet".into() }),
            doubt: Notify::new(),
            response: Duration::from_millis(config.response_ms),
            is_cluster: way.is_cluster(),
        });
        let backoff = Backoff::new(config.backoff_min_ms, config.backoff_max_ms, salt);
        let task = tokio::spawn(keep_up(Arc::clone(&inner), way, backoff));
        Ok(Self { inner, _task: Arc::new(Task(task)) })
    }

    /// Asks Redis, and gives its answer.
    ///
    /// # Errors
    /// [`LinkError::NotSent`] where there is no connection, at once; [`LinkError::Unknown`] where no answer comes in time or the
    /// connection breaks; [`LinkError::Refused`] where Redis answers by an error.
    pub async fn query(&self, command: &Cmd) -> Result<Value, LinkError> {
        self.query_within(command, self.inner.response).await
    }

    /// Asks what may take longer than other commands.
    ///
    /// # Errors
    /// As [`Link::query`].
    pub async fn query_within(&self, command: &Cmd, time: Duration) -> Result<Value, LinkError> {
        let mut connection = self.inner.connection()?;
        let answer = self.inner.within(time, connection.send(command)).await?;
        // Errors within an answer are the asker's: a script may have done one thing and not another.
        if let Value::ServerError(error) = answer { Err(self.inner.doubt(::redis::RedisError::from(error).into())) } else { Ok(answer) }
    }

    /// Sends commands in one piece to the server that keeps `key`, by one connection; gives the answer to each, which may be an error of Redis. In a
    /// cluster all of them may be sent again, also to another server.
    ///
    /// # Errors
    /// As [`Link::query`], where there are no answers.
    pub(super) async fn query_together(&self, commands: &Pipeline, key: &[u8], time: Duration) -> Result<Vec<Value>, LinkError> {
        let mut connection = self.inner.connection()?;
        self.inner.within(time, connection.send_together(commands, key)).await
    }

    /// Whether Redis can be asked, now and from now on.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<LinkState> {
        self.inner.state.subscribe()
    }

    /// Waits for the first connection, at most for `time`.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn ready(&self, time: Duration) -> Result<Arc<Facts>, LinkError> {
        let mut state = self.state();
        let up = state.wait_for(|state| matches!(state, LinkState::Up { .. }));
        let found = tokio::time::timeout(time, up).await.ok().and_then(Result::ok).map(|state| state.clone());
        let last = || self.inner.state.borrow().clone();
        match found.unwrap_or_else(last) {
            LinkState::Up { facts, .. } => Ok(facts),
            LinkState::Down { why } => Err(LinkError::NotSent(why.to_string())),
        }
    }

    /// Whether keys live in slots, and channels with them: then `SPUBLISH` takes the place of `PUBLISH`.
    #[must_use]
    pub fn is_cluster(&self) -> bool {
        self.inner.is_cluster
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("state", &*self.inner.state.borrow()).finish_non_exhaustive()
    }
}

/// Ends with whoever holds it.
pub(super) struct Task(pub(super) JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Inner {
    fn connection(&self) -> Result<Connection, LinkError> {
        let connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner).clone();
        connection.ok_or_else(|| {
            let why = if let LinkState::Down { why } = &*self.state.borrow() { why.to_string() } else { "connecting".to_owned() };
            LinkError::NotSent(why)
        })
    }

    async fn within<T>(&self, time: Duration, answer: impl Future<Output = RedisResult<T>>) -> Result<T, LinkError> {
        let unknown = || LinkError::Unknown(format!("no answer within {} ms", time.as_millis()));
        let answer = tokio::time::timeout(time, answer).await.map_err(|_| unknown());
        answer.and_then(|answer| answer.map_err(LinkError::from)).map_err(|error| self.doubt(error))
    }

    /// Has the connection looked at where this error may be about it.
    fn doubt(&self, error: LinkError) -> LinkError {
        match &error {
            LinkError::Refused { code, .. } if !code.is_about_the_server() => {}
            LinkError::Refused { .. } | LinkError::Unknown(_) | LinkError::NotSent(_) => self.doubt.notify_one(),
        }
        error
    }

    fn set(&self, connection: Option<Connection>, state: LinkState) {
        *self.connection.lock().unwrap_or_else(PoisonError::into_inner) = connection;
        self.state.send_if_modified(|before| {
            let changes = *before != state;
            *before = state;
            changes
        });
    }
}

/// Connects, watches the connection until it is lost, and connects again, for ever.
async fn keep_up(inner: Arc<Inner>, mut way: Way, mut backoff: Backoff) {
    let mut told = String::new();
    for number in 1.. {
        let why = match begin(&inner, &mut way).await {
            Ok((connection, facts, lost)) => {
                backoff.reset();
                look_after(&inner, &mut way, connection, facts, number, &lost).await
            }
            Err(why) => why,
        };
        inner.set(None, LinkState::Down { why: why.as_str().into() });
        if why != told {
            tracing::warn!(why, "no use of Redis");
            told = why;
        }
        tokio::time::sleep(backoff.wait()).await;
    }
}

/// Makes a connection to a server that takes writes.
async fn begin(inner: &Inner, way: &mut Way) -> Result<(Connection, Facts, Arc<Notify>), String> {
    let lost = Arc::new(Notify::new());
    let told = Arc::clone(&lost);
    let push = Arc::new(move |info: ::redis::PushInfo| {
        if info.kind == PushKind::Disconnection {
            told.notify_one();
        }
    });
    let mut connection = way.connect(push).await.map_err(|error| error.to_string())?;
    let facts = look(&mut connection, inner.response).await?;
    Ok((connection, facts, lost))
}

/// Asks what is at the other end; an error unless it is there and takes writes.
async fn look(connection: &mut Connection, time: Duration) -> Result<Facts, String> {
    let facts = tokio::time::timeout(time, Facts::ask(connection)).await.map_err(|_| "no answer in time".to_owned())?;
    let facts = facts.map_err(|error| why_unknown(&error))?;
    if let Some(advice) = facts.advice().into_iter().find(super::Advice::is_fatal) {
        return Err(advice.to_string());
    }
    if facts.are_writable() { Ok(facts) } else { Err("the server takes no writes: it is a replica, or still loads its data".to_owned()) }
}

/// Why a server does not say what it is.
fn why_unknown(error: &::redis::RedisError) -> String {
    let is_refused = error.code() == Some("NOPERM") || error.to_string().contains("unknown command");
    if is_refused {
        format!("Redis must not be used without INFO, which says whether it has lost something: allow the user +info ({error})")
    } else {
        error.to_string()
    }
}

/// Serves by this connection until there is a reason not to; gives the reason.
async fn look_after(inner: &Inner, way: &mut Way, mut connection: Connection, facts: Facts, number: u64, lost: &Notify) -> String {
    let primary = way.primary().await;
    let mut facts = Arc::new(facts);
    loop {
        inner.set(Some(connection.clone()), LinkState::Up { connection: number, facts: Arc::clone(&facts) });
        tokio::select! {
            // A cluster mends the connections to its nodes itself; whether it is whole again is seen by looking.
            () = lost.notified() => if !inner.is_cluster { return "the connection was closed".to_owned() },
            () = inner.doubt.notified() => {}
            () = tokio::time::sleep(Duration::from_millis(LOOK_MS)) => {}
        }
        let mut now = match look(&mut connection, inner.response).await {
            Ok(now) => now,
            Err(why) => return why,
        };
        now.follow(&facts);
        if *facts != now {
            facts = Arc::new(now);
        }
        let named = way.primary().await;
        if named.is_some() && primary.is_some() && named != primary {
            return "the sentinels name another primary".to_owned();
        }
    }
}
