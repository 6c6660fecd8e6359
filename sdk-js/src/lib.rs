//! The mechanical binding: the client core behind numbers and JSON text, for the TypeScript of `@arqon/bus`.
//!
//! Nothing here calls back into JavaScript. The package feeds [`Engine`] with what happens and the time, then takes what came of it
//! as one text of JSON that the engine of the browser parses, however many messages a frame held.

#![expect(clippy::too_many_arguments, reason = "numbers and texts cross to WebAssembly, objects do not")]

mod options;
mod told;
#[cfg(feature = "vectors")]
pub mod vectors;

#[cfg(feature = "vectors")]
#[path = "../../protocol/tests/vectors/describe.rs"]
#[expect(dead_code, reason = "shared with the tests of the protocol crate, which use all of it")]
mod describe;

/// As much of a vector as the describer needs.
#[cfg(feature = "vectors")]
mod load {
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(crate) enum Direction {
        Client,
        Server,
    }

    #[derive(Debug)]
    pub(crate) struct Frame {
        pub(crate) file: String,
        pub(crate) name: String,
        pub(crate) direction: Direction,
        pub(crate) result_of: Option<String>,
    }
}

use std::collections::VecDeque;

use arqonbus_client::core::{CallId, Config, Core, Declined, JobRef, OpenError, Output, Settling, SubscriptionId};
use arqonbus_client::protocol::{Position, RawJson, Topic};
use wasm_bindgen::prelude::wasm_bindgen;

#[cfg(target_arch = "wasm32")]
#[global_allocator]
static ALLOCATOR: rlsf::SmallGlobalTlsf = rlsf::SmallGlobalTlsf::new();

pub use options::Extras;
use options::{Beginning, declined, invalid, joining, outgoing};
use told::Batch;

/// The options of a client, under the names that the core has for them; what is not set has the core's default.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Options(Config);

#[wasm_bindgen]
impl Options {
    /// The defaults for one address.
    #[wasm_bindgen(constructor)]
    #[must_use]
    pub fn new(url: String) -> Self {
        Self(Config { agent: concat!("arqonbus-js/", env!("CARGO_PKG_VERSION")).to_owned(), ..Config::new(url) })
    }

    /// Sets a text.
    ///
    /// # Errors
    /// What is wrong with it, as JSON.
    pub fn text(&mut self, option: &str, text: String) -> Result<(), String> {
        options::set_text(&mut self.0, option, text)
    }

    /// Sets a number or flag.
    ///
    /// # Errors
    /// What is wrong with it, as JSON.
    pub fn number(&mut self, option: &str, number: f64) -> Result<(), String> {
        options::set_number(&mut self.0, option, number)
    }
}

/// One client: the core, and what waits to be taken from it.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Engine {
    core: Core,
    batch: Batch,
    frames: VecDeque<String>,
    until: Option<u64>,
}

/// Numbers cross as doubles, which hold every integer below 2^53.
fn ms(now: f64) -> u64 {
    now.max(0.0) as u64
}

#[wasm_bindgen]
impl Engine {
    /// Makes a client that does nothing until `connect`. The seed is any 64 random bits.
    #[wasm_bindgen(constructor)]
    #[must_use]
    pub fn new(options: Options, seed_low: u32, seed_high: u32) -> Self {
        let seed = (u64::from(seed_high) << 32) | u64::from(seed_low);
        Self { core: Core::new(options.0, seed), batch: Batch::default(), frames: VecDeque::new(), until: None }
    }

    /// Begins to connect.
    pub fn connect(&mut self, now: f64) {
        self.core.connect(ms(now));
    }

    /// The socket is open.
    pub fn opened(&mut self, now: f64) {
        self.core.handle_open(ms(now));
    }

    /// The socket did not open.
    pub fn failed(&mut self, why: String, permanent: bool, retry_after_ms: Option<f64>, now: f64) {
        self.core.handle_open_error(OpenError { why, permanent, retry_after_ms: retry_after_ms.map(ms) }, ms(now));
    }

    /// A text frame came, of JSON.
    pub fn frame(&mut self, text: &str, now: f64) {
        self.core.handle_frame(text, ms(now));
    }

    /// A run of messages came, one after the other in one topic, that JavaScript has parsed: the subscription that takes it, or 0 where
    /// they have to come as a frame. Not for replies, nor for messages with `exclude_sender`.
    pub fn run(&mut self, room: &str, channel: &str, epoch: &str, seq: f64, count: u32, now: f64) -> f64 {
        let (Ok(room), Ok(channel), Ok(epoch)) = (room.parse(), channel.parse(), epoch.parse()) else { return 0.0 };
        let first = Position { epoch, seq: ms(seq) };
        let taken = self.core.handle_run(&Topic { room, channel }, first, u64::from(count), ms(now));
        taken.map_or(0.0, |SubscriptionId(id)| id as f64)
    }

    /// A text frame came that is not JSON.
    pub fn nonsense(&mut self, now: f64) {
        self.core.handle_nonsense(ms(now));
    }

    /// Whether frames may hold several envelopes, on a line each.
    pub fn batching(&self) -> bool {
        self.core.is_batching()
    }

    /// Something came that is no text, such as a ping.
    pub fn alive(&mut self, now: f64) {
        self.core.handle_alive(ms(now));
    }

    /// The socket is closed, with a code where a close frame came.
    pub fn closed(&mut self, code: Option<u16>, now: f64) {
        self.core.handle_close(code, ms(now));
    }

    /// The moment that `until` names has come.
    pub fn timeout(&mut self, now: f64) {
        self.core.handle_timeout(ms(now));
    }

    /// The page or machine has slept, or the network came back.
    pub fn wake(&mut self, now: f64) {
        self.core.wake(ms(now));
    }

    /// The timer came late: the silence was ours.
    pub fn overslept(&mut self, now: f64) {
        self.core.handle_backpressure(ms(now));
    }

    /// Gives a token.
    #[wasm_bindgen(js_name = setToken)]
    pub fn set_token(&mut self, token: String, now: f64) {
        self.core.set_token(token, ms(now));
    }

    /// No token was found this time.
    #[wasm_bindgen(js_name = tokenFailed)]
    pub fn token_failed(&mut self, why: String, now: f64) {
        self.core.token_failed(why, ms(now));
    }

    /// Finishes what is in flight, then closes.
    pub fn drain(&mut self, now: f64) {
        self.core.drain(ms(now));
    }

    /// Closes at once.
    pub fn close(&mut self, now: f64) {
        self.core.close(ms(now));
    }

    /// Publishes, and asks for an ack. `kind` says what `to` is: a topic (0), a room (1) or an address (2).
    ///
    /// # Errors
    /// What was wrong, or why it was declined, as JSON.
    pub fn publish(&mut self, kind: u8, to: &str, payload: String, extras: Option<Extras>, now: f64) -> Result<f64, String> {
        let outgoing = outgoing(kind, to, payload, extras)?;
        self.core.publish(&outgoing, ms(now)).map(call).map_err(declined)
    }

    /// Publishes without an ack.
    ///
    /// # Errors
    /// As [`Self::publish`].
    #[wasm_bindgen(js_name = publishNowait)]
    pub fn publish_nowait(&mut self, kind: u8, to: &str, payload: String, extras: Option<Extras>, wait: bool, now: f64) -> Result<(), String> {
        let outgoing = outgoing(kind, to, payload, extras)?;
        self.core.publish_nowait(&outgoing, wait, ms(now)).map_err(declined)
    }

    /// Publishes, and waits for the reply.
    ///
    /// # Errors
    /// As [`Self::publish`].
    pub fn request(&mut self, kind: u8, to: &str, payload: String, extras: Option<Extras>, now: f64) -> Result<f64, String> {
        let outgoing = outgoing(kind, to, payload, extras)?;
        self.core.request(&outgoing, ms(now)).map(call).map_err(declined)
    }

    /// Sends a command with its arguments as JSON.
    ///
    /// # Errors
    /// As [`Self::publish`].
    pub fn command(&mut self, name: &str, args: &str, timeout_ms: Option<f64>, now: f64) -> Result<f64, String> {
        options::check_command(name)?;
        self.core.command_json(name, RawJson::from_encoder(args), timeout_ms.map(ms), ms(now)).map(call).map_err(declined)
    }

    /// Joins; `since` and `positions` are JSON.
    ///
    /// # Errors
    /// As [`Self::publish`].
    pub fn join(
        &mut self,
        pattern: &str,
        since: Option<String>,
        replay: Option<u32>,
        positions: Option<String>,
        presence: bool,
        group: Option<String>,
        max_in_flight: Option<u32>,
        now: f64,
    ) -> Result<f64, String> {
        let mut joining = joining(pattern, &Beginning { since, replay, positions, presence })?;
        joining.group = group.map(|group| group.parse()).transpose().map_err(invalid)?;
        joining.max_in_flight = max_in_flight;
        self.core.join(joining, ms(now)).map(|SubscriptionId(id)| id as f64).map_err(declined)
    }

    /// Settles a job of a work group: `how` says done (0), give it back (1), or dead (2).
    ///
    /// # Errors
    /// As [`Self::publish`].
    pub fn settle(
        &mut self,
        subscription: f64,
        epoch: &str,
        seq: f64,
        delivery: u32,
        how: u8,
        delay_ms: Option<u32>,
        reason: Option<String>,
        now: f64,
    ) -> Result<f64, String> {
        let position = Position { epoch: epoch.parse().map_err(invalid)?, seq: ms(seq) };
        let settling = match how {
            0 => Settling::Ack,
            1 => Settling::Nack { delay_ms, reason },
            _ => Settling::Dead { reason },
        };
        let job = JobRef { subscription: SubscriptionId(ms(subscription)), position, delivery };
        self.core.settle_job(job, settling, ms(now)).map(call).map_err(declined)
    }

    /// Leaves.
    pub fn leave(&mut self, subscription: f64, now: f64) {
        self.core.leave(SubscriptionId(ms(subscription)), ms(now));
    }

    /// Stops the delivery of a subscription whose reader is slow.
    pub fn pause(&mut self, subscription: f64, now: f64) {
        self.core.pause(SubscriptionId(ms(subscription)), ms(now));
    }

    /// Goes on with a paused subscription.
    pub fn resume(&mut self, subscription: f64, now: f64) {
        self.core.resume(SubscriptionId(ms(subscription)), ms(now));
    }

    /// Tells private messages and broadcasts from now on, or keeps them for later.
    #[wasm_bindgen(js_name = setInbox)]
    pub fn set_inbox(&mut self, open: bool) {
        if open {
            self.core.open_inbox();
        } else {
            self.core.close_inbox();
        }
    }

    /// Takes everything that there is to do and to tell, as one JSON array; nothing where there is nothing.
    pub fn poll(&mut self) -> Option<String> {
        loop {
            match self.core.poll_output() {
                Output::Open { url } => self.batch.open(&url),
                Output::Transmit(frame) => {
                    self.frames.push_back(frame);
                    self.batch.transmit();
                }
                Output::Close { code } => self.batch.close(code),
                Output::Event(event) => self.batch.event(event),
                Output::Wait { until } => {
                    self.until = until;
                    return self.batch.take();
                }
            }
        }
    }

    /// The text of the next `transmit`.
    #[wasm_bindgen(js_name = takeFrame)]
    pub fn take_frame(&mut self) -> Option<String> {
        self.frames.pop_front()
    }

    /// When `timeout` is due; none where only an input can change anything.
    pub fn until(&self) -> Option<f64> {
        self.until.map(|until| until as f64)
    }

    /// How the connection is.
    pub fn state(&self) -> String {
        self.core.state().as_str().to_owned()
    }

    /// Whether a publish of so many bytes would be taken now.
    #[wasm_bindgen(js_name = hasRoom)]
    pub fn has_room(&self, bytes: f64) -> bool {
        self.core.has_room(usize::try_from(ms(bytes)).unwrap_or(usize::MAX)) && self.core.has_room_for_calls()
    }
}

fn call(CallId(id): CallId) -> f64 {
    id as f64
}
