//! Options of a client, and the first connection.

use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};

use arqonbus_protocol::UserId;
use serde_json::{Map, Value};
use tokio::sync::{broadcast, mpsc, watch};
use tokio::time::Duration;

use super::clock::{Clock, seed};
use super::driver::{Driver, Lines, Shared};
use super::{Client, Error, socket};
use crate::core::{Backoff, Config, Core, Fault, State};

/// Publishes that wait between handles and driver; past it callers wait.
const WORK_LINE: usize = 1_024;
/// Other calls that wait between handles and driver.
const CONTROL_LINE: usize = 256;
/// Refusals of unacknowledged publishes that a slow listener can be behind.
const REFUSALS: usize = 64;

/// Finds a token, each time that one is needed.
pub(crate) type TokenProvider = Arc<dyn Fn() -> TokenWait + Send + Sync>;

/// The search for one token.
pub(crate) type TokenWait = Pin<Box<dyn Future<Output = Result<String, String>> + Send>>;

/// Makes a [`Client`]; see [`Client::builder`].
#[must_use = "a builder does nothing until it is awaited"]
pub struct Builder {
    config: Config,
    provider: Option<TokenProvider>,
    user: Option<String>,
    #[cfg(feature = "tls")]
    root_certificates: Vec<u8>,
}

impl Builder {
    pub(crate) fn new(url: String) -> Self {
        Self {
            config: Config::new(url),
            provider: None,
            user: None,
            #[cfg(feature = "tls")]
            root_certificates: Vec::new(),
        }
    }

    /// Gives credentials that do not change.
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.config.token = Some(token.into());
        self
    }

    /// Gives credentials that change: `provider` is called before every attempt to connect.
    pub fn token_provider<F, Fut, E>(mut self, provider: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<String, E>> + Send + 'static,
        E: std::fmt::Display,
    {
        self.config.token_provider = true;
        self.provider = Some(Arc::new(move || {
            let token = provider();
            Box::pin(async move { token.await.map_err(|error| error.to_string()) })
        }));
        self
    }

    /// Names the client for people who look at member lists.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.config.name = Some(name.into());
        self
    }

    /// Says what kind of client it is, such as `worker`.
    pub fn kind(mut self, kind: impl Into<String>) -> Self {
        self.config.kind = Some(kind.into());
        self
    }

    /// Names the software and its version, for an SDK that is built on this one.
    pub fn agent(mut self, agent: impl Into<String>) -> Self {
        self.config.agent = agent.into();
        self
    }

    /// Says whom it acts for; believed only by servers that ask for no credentials.
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.user = Some(user.into());
        self
    }

    /// Shows something to other members; at most 1 KiB as JSON.
    pub fn metadata(mut self, metadata: Map<String, Value>) -> Self {
        self.config.metadata = Some(Value::Object(metadata).to_string());
        self
    }

    /// Believes these authorities too at `wss://`, a text in PEM: for a bus behind a proxy whose certificate is of your own making.
    #[cfg(feature = "tls")]
    pub fn root_certificates(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.root_certificates = pem.into();
        self
    }

    /// Sets how long to wait between attempts.
    pub fn backoff(mut self, base: Duration, cap: Duration) -> Self {
        self.config.backoff = Backoff { base_ms: millis(base), cap_ms: millis(cap) };
        self
    }

    /// Sets how many attempts the first connection gets; 0 goes on for ever. By default one: a wrong address shows at once.
    pub fn first_attempts(mut self, attempts: u32) -> Self {
        self.config.first_attempts_max = attempts;
        self
    }

    /// Sets the time for one socket to open.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.config.open_timeout_ms = millis(timeout);
        self
    }

    /// Sets the time for commands, joins and replies.
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.config.request_timeout_ms = millis(timeout);
        self
    }

    /// Sets the time after which the outcome of a publish is unknown, reconnects included. Keep it below the server's
    /// deduplication window (2 min).
    pub fn publish_timeout(mut self, timeout: Duration) -> Self {
        self.config.publish_timeout_ms = millis(timeout);
        self
    }

    /// Bounds the publishes that are queued or unacknowledged, by count and bytes. Past it `publish` waits.
    pub fn in_flight(mut self, messages: usize, bytes: usize) -> Self {
        self.config.in_flight_max = messages;
        self.config.in_flight_bytes_max = bytes;
        self
    }

    /// Sets whether frames may hold several envelopes; by default they may, because it saves both sides work.
    pub fn batch(mut self, batch: bool) -> Self {
        self.config.batch = batch;
        self
    }

    /// Connects, and waits until the two sides have introduced themselves.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an address that is none and options that cannot be sent, [`Error::Closed`] with the fault where no connection came about.
    pub async fn connect(mut self) -> Result<Client, Error> {
        self.config.url = socket::address(&self.config.url)?;
        self.config.user = self.user.take().map(|user| user.parse::<UserId>()).transpose()?;
        #[cfg(feature = "tls")]
        let trust = Some(super::tls::connector(&self.root_certificates)?);
        #[cfg(not(feature = "tls"))]
        let trust = None;
        let clock = Clock::start();
        self.config.unix_ms_at_zero = Clock::unix_ms();
        let (work, work_line) = mpsc::channel(WORK_LINE);
        let (control, control_line) = mpsc::channel(CONTROL_LINE);
        let (attention, attention_line) = mpsc::channel(1);
        let shared = Arc::new(Shared {
            state: watch::Sender::new(State::Idle),
            identity: watch::Sender::new(None),
            fault: OnceLock::new(),
            last_loss: watch::Sender::new(None),
            refusals: broadcast::Sender::new(REFUSALS),
        });
        let mut core = Core::new(self.config, seed());
        core.connect(clock.now());
        let lines = Lines { work: work_line, control: control_line, attention: attention_line };
        tokio::spawn(Driver::new(core, clock, Arc::clone(&shared), self.provider, trust, lines));
        let client = Client { work, control, attention, shared };
        client.first_connection().await?;
        Ok(client)
    }
}

impl Client {
    async fn first_connection(&self) -> Result<(), Error> {
        let mut state = self.shared.state.subscribe();
        let reached = state.wait_for(|state| matches!(state, State::Connected | State::Closed | State::Draining)).await.map(|state| *state);
        match reached {
            Ok(State::Connected) => Ok(()),
            _ => Err(Error::Closed(self.shared.fault.get().cloned().unwrap_or(Fault::Closed))),
        }
    }
}

impl IntoFuture for Builder {
    type Output = Result<Client, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.connect())
    }
}

pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
