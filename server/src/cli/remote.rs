//! What the commands that speak to a bus have in common: where it is, how a connection begins and ends.

use std::time::Duration;

use arqonbus_client::core::Fault;
use arqonbus_client::{Builder, Client, Error};
use clap::Args;

use super::exit::Failure;
use super::output;
use super::signals::Signals;

/// Where the bus is, and who asks.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Connection")]
pub(super) struct Remote {
    /// Where the bus is.
    #[arg(long, global = true, value_name = "URL", env = "ARQONBUS_URL", default_value = "ws://127.0.0.1:9100")]
    url: String,
    /// Credentials, where the bus asks for them.
    #[arg(long, global = true, value_name = "TOKEN", env = "ARQONBUS_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// Seconds to wait for the connection and for each answer.
    #[arg(long, global = true, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    timeout: Duration,
}

/// The arguments of a command that speaks to a bus, and where that is. The other commands have no use for it, and do not take it.
#[derive(Debug, Args)]
pub(super) struct Remotely<A: Args> {
    #[command(flatten)]
    pub(super) args: A,
    #[command(flatten)]
    pub(super) remote: Remote,
}

/// Reads seconds, also parts of one.
pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().ok().filter(|seconds| (0.001..=86_400.0).contains(seconds));
    seconds.map(Duration::from_secs_f64).ok_or_else(|| "expected seconds, from 0.001 to 86400".to_owned())
}

impl Remote {
    /// A client of this bus, not yet connected.
    pub(super) fn builder(&self) -> Builder {
        let builder =
            Client::builder(&self.url).kind("cli").connect_timeout(self.timeout).request_timeout(self.timeout).publish_timeout(self.timeout);
        match &self.token {
            Some(token) => builder.token(token),
            None => builder,
        }
    }

    /// Connects, lets `work` work, and drains. Ctrl-C and SIGTERM end the work, a second one also the drain.
    pub(super) fn run(&self, work: impl AsyncFnOnce(Client) -> Result<(), Failure>) -> Result<(), Failure> {
        self.run_and_clear(work, async |_| {})
    }

    /// The same; `clear` comes between the work, however that ended, and the drain.
    pub(super) fn run_and_clear(
        &self,
        work: impl AsyncFnOnce(Client) -> Result<(), Failure>,
        clear: impl AsyncFnOnce(&Client),
    ) -> Result<(), Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let result = runtime.block_on(async {
            let mut signals = Signals::listen()?;
            let client = tokio::select! {
                biased;
                () = signals.next() => return Err(Failure::Interrupted),
                client = self.builder().connect() => client?,
            };
            let result = tokio::select! {
                biased;
                () = signals.next() => Err(Failure::Interrupted),
                result = work(client.clone()) => result,
            };
            tokio::select! {
                () = signals.next() => Err(Failure::Interrupted),
                () = async { clear(&client).await; client.drain().await } => result,
            }
        });
        // A read of standard input that nobody waits for any more would hold an orderly end back.
        runtime.shutdown_background();
        result
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let why = error.to_string();
        match error {
            Error::Invalid(_) => Self::Usage(why),
            Error::Unknown => Self::Unknown("no answer in time: it may have been done or not".into()),
            Error::NotSent => Self::CannotConnect("not sent: there was no connection in time".into()),
            Error::Closed(Fault::Unreachable(_) | Fault::ClosedByServer(_)) => Self::CannotConnect(why),
            // The last stands for what a newer client library adds.
            Error::Rejected(_) | Error::Full | Error::Closed(_) | Error::Decode(_) | _ => Self::Failed(why),
        }
    }
}

/// Tells the person at the terminal that the connection is lost and found, while a long command runs.
pub(super) fn tell_losses(client: &Client) {
    use arqonbus_client::core::State;
    let client = client.clone();
    let mut states = client.watch_state();
    tokio::spawn(async move {
        let mut lost = false;
        while states.changed().await.is_ok() {
            match *states.borrow_and_update() {
                State::Waiting if !lost => {
                    lost = true;
                    output::note(&format!("connection lost ({}), trying again", client.last_loss().unwrap_or_default()));
                }
                State::Connected if lost => {
                    lost = false;
                    output::note("connected again");
                }
                State::Closed => return,
                State::Idle | State::Connecting | State::Connected | State::Waiting | State::Draining => {}
            }
        }
    });
}
