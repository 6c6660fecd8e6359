//! Commands: typed calls, and listings and history as streams of pages.

use std::collections::VecDeque;

use arqonbus_protocol::{
    ChannelInfoArgs, ChannelInfoResult, Command, CommandArgs, CreateChannelArgs, CreateChannelResult, DeleteChannelArgs, DeleteChannelResult,
    Direction, DisconnectArgs, DisconnectResult, Gap, HistoryArgs, HistoryBound, HistoryResult, ListChannelsArgs, ListChannelsResult, ListRoomsArgs,
    ListRoomsResult, MembersArgs, MembersResult, PingArgs, Position, ServerEnvelope, StatusArgs, StatusResult, Topic,
};
use futures_util::Stream;
use futures_util::stream::unfold;
use tokio::sync::oneshot;
use tokio::time::Duration;

use super::clock::Clock;
use super::driver::Control;
use super::{Client, Error};
use crate::Message;

impl Client {
    /// Sends any command of the protocol and gives its typed result.
    ///
    /// # Errors
    /// [`Error::Rejected`], [`Error::Unknown`], [`Error::NotSent`], [`Error::Closed`].
    pub async fn command<A: CommandArgs>(&self, args: A) -> Result<A::Result, Error> {
        let text = self.command_json(args.command()).await?;
        serde_json::from_str(&text).map_err(|error| Error::Decode(error.to_string()))
    }

    /// Sends any command and gives its result as JSON text, for languages that have types of their own.
    ///
    /// # Errors
    /// As [`Self::command`].
    pub async fn command_json(&self, command: Command) -> Result<String, Error> {
        let (reply, answer) = oneshot::channel();
        self.control(Control::Command(command, None, reply)).await?;
        self.answer(answer).await
    }

    /// Asks for a sign of life and gives the time that it took.
    ///
    /// # Errors
    /// As [`Self::command`].
    pub async fn ping(&self) -> Result<Duration, Error> {
        let clock = Clock::start();
        self.command(PingArgs::default()).await?;
        Ok(clock.elapsed())
    }

    /// Shows the state of the bus.
    ///
    /// # Errors
    /// As [`Self::command`].
    pub async fn status(&self) -> Result<StatusResult, Error> {
        self.command(StatusArgs {}).await
    }

    /// Lists rooms: one page. `after` is the `next` of the page before.
    ///
    /// # Errors
    /// As [`Self::command`].
    pub async fn rooms(&self, args: ListRoomsArgs) -> Result<ListRoomsResult, Error> {
        self.command(args).await
    }

    /// Lists the first page of a room's channels; [`Self::command`] with [`ListChannelsArgs`] gives the others.
    ///
    /// # Errors
    /// As [`Self::command`].
    pub async fn channels(&self, room: impl AsRef<str>) -> Result<ListChannelsResult, Error> {
        self.command(ListChannelsArgs { room: room.as_ref().parse()?, after: None, limit: None }).await
    }

    /// Shows one channel.
    ///
    /// # Errors
    /// As [`Self::command`].
    pub async fn channel_info(&self, topic: impl AsRef<str>) -> Result<ChannelInfoResult, Error> {
        let Topic { room, channel } = topic.as_ref().parse()?;
        self.command(ChannelInfoArgs { room, channel }).await
    }

    /// Creates a channel; one that exists stays as it is.
    ///
    /// # Errors
    /// As [`Self::command`].
    pub async fn create_channel(&self, topic: impl AsRef<str>, description: Option<&str>) -> Result<CreateChannelResult, Error> {
        let Topic { room, channel } = topic.as_ref().parse()?;
        self.command(CreateChannelArgs { room, channel, description: description.map(str::to_owned) }).await
    }

    /// Deletes a channel with its history.
    ///
    /// # Errors
    /// As [`Self::command`].
    pub async fn delete_channel(&self, topic: impl AsRef<str>) -> Result<DeleteChannelResult, Error> {
        let Topic { room, channel } = topic.as_ref().parse()?;
        self.command(DeleteChannelArgs { room, channel }).await
    }

    /// Lists the first page of who is joined to a topic; [`Self::command`] with [`MembersArgs`] gives the others.
    ///
    /// # Errors
    /// As [`Self::command`].
    pub async fn members(&self, topic: impl AsRef<str>) -> Result<MembersResult, Error> {
        let Topic { room, channel } = topic.as_ref().parse()?;
        self.command(MembersArgs { room, channel, after: None, limit: None }).await
    }

    /// Closes the connections of a client or user.
    ///
    /// # Errors
    /// As [`Self::command`].
    pub async fn disconnect(&self, whom: DisconnectArgs) -> Result<DisconnectResult, Error> {
        self.command(whom).await
    }

    /// Reads a topic's history, page by page as it is wanted.
    pub fn history(&self, topic: impl AsRef<str>) -> History {
        let args = topic.as_ref().parse::<Topic>().map(HistoryArgs::new).map_err(Into::into);
        History { client: self.clone(), args, left: u64::MAX, page: VecDeque::new(), done: false, gap: None }
    }
}

/// A topic's messages: options first, then [`History::next`] or [`History::stream`].
#[must_use = "history is read by `next` or `stream`"]
#[derive(Debug)]
pub struct History {
    client: Client,
    args: Result<HistoryArgs, Error>,
    left: u64,
    page: VecDeque<Message>,
    done: bool,
    gap: Option<Gap>,
}

impl History {
    fn with(mut self, change: impl FnOnce(&mut HistoryArgs)) -> Self {
        if let Ok(args) = &mut self.args {
            change(args);
        }
        self
    }

    /// Gives only messages after this position.
    pub fn since(self, position: Position) -> Self {
        self.with(|args| args.since = Some(HistoryBound::Position(position)))
    }

    /// Gives only messages up to and including this position.
    pub fn until(self, position: Position) -> Self {
        self.with(|args| args.until = Some(HistoryBound::Position(position)))
    }

    /// Gives only messages between these bounds, which may be positions or times of the server's clock.
    pub fn between(self, since: Option<HistoryBound>, until: Option<HistoryBound>) -> Self {
        self.with(|args| (args.since, args.until) = (since, until))
    }

    /// Gives the newest messages first.
    pub fn backward(self) -> Self {
        self.with(|args| args.direction = Direction::Backward)
    }

    /// Gives at most so many messages.
    pub fn limit(mut self, messages: u64) -> Self {
        self.left = messages;
        self
    }

    /// Asks for so many messages at a time.
    pub fn page_size(self, messages: u32) -> Self {
        self.with(|args| args.limit = Some(messages))
    }

    /// Gives the next message; `None` after the last one.
    ///
    /// # Errors
    /// As [`Client::command`], each time a page is needed.
    pub async fn next(&mut self) -> Option<Result<Message, Error>> {
        while self.page.is_empty() && !self.done && self.left > 0 {
            if let Err(error) = self.turn_page().await {
                self.done = true;
                return Some(Err(error));
            }
        }
        if self.left == 0 {
            return None;
        }
        self.left -= 1;
        self.page.pop_front().map(Ok)
    }

    /// Gives the next messages, a page at most; `None` after the last ones.
    ///
    /// # Errors
    /// As [`Client::command`].
    pub async fn next_page(&mut self) -> Option<Result<Vec<Message>, Error>> {
        let first = match self.next().await? {
            Ok(first) => first,
            Err(error) => return Some(Err(error)),
        };
        let more = self.page.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        self.left -= more as u64;
        Some(Ok(std::iter::once(first).chain(self.page.drain(..more)).collect()))
    }

    /// What lay between `since` and the first message given and is no longer held; known after the first [`Self::next`].
    #[must_use]
    pub fn gap(&self) -> Option<&Gap> {
        self.gap.as_ref()
    }

    /// The messages as a [`Stream`].
    pub fn stream(self) -> impl Stream<Item = Result<Message, Error>> + Send {
        Box::pin(unfold(self, |mut history| async move { history.next().await.map(|next| (next, history)) }))
    }

    async fn turn_page(&mut self) -> Result<(), Error> {
        let mut args = self.args.clone()?;
        let wanted = args.limit.unwrap_or(arqonbus_protocol::limits::HISTORY_LIMIT_DEFAULT);
        args.limit = Some(u32::try_from(self.left).map_or(wanted, |left| wanted.min(left)));
        let result: HistoryResult = self.client.command(args).await?;
        for raw in &result.messages {
            match ServerEnvelope::decode(raw.get()) {
                Ok(ServerEnvelope::Message(delivery)) => self.page.push_back(Message::from_delivery(&delivery)),
                Ok(ServerEnvelope::Response(_) | ServerEnvelope::Event(_) | ServerEnvelope::Error(_)) => {
                    return Err(Error::Decode("history holds something that is no message".to_owned()));
                }
                Err(malformed) => return Err(Error::Decode(malformed.to_string())),
            }
        }
        self.gap = self.gap.or(result.gap);
        self.done = result.next.is_none();
        if let (Some(next), Ok(args)) = (result.next, &mut self.args) {
            let bound = Some(HistoryBound::Position(next));
            match args.direction {
                Direction::Forward => args.since = bound,
                Direction::Backward => args.until = bound,
            }
        }
        Ok(())
    }
}
