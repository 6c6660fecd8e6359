"""The same names without asyncio: for scripts, notebooks, Django and threads.

```python
import arqonbus.sync as arqonbus

with arqonbus.connect("ws://127.0.0.1:9100") as bus:
    with bus.join("science:explore", replay=10) as topic:
        topic.publish({"text": "hi"})
        for message in topic:
            print(message.payload)
            break
```

Each bus has one thread with an event loop of its own. Its methods may be called from any thread; Ctrl-C interrupts every wait.
"""

from __future__ import annotations

import asyncio
import datetime
from collections import deque
from collections.abc import Callable, Coroutine, Iterator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from . import _bus, _respond, _topic
from ._arqonbus import Ack, Deleted, Gap, Message, Missed, Position, Presence
from ._options import State
from ._portal import Portal
from ._topic import Item
from .errors import (
    ArqonBusError,
    ChannelDeleted,
    Closed,
    DecodeError,
    Forked,
    Full,
    Invalid,
    NotSent,
    Rejected,
    Unknown,
    Unreachable,
)

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

    from . import wire
    from ._options import ConnectOptions, SendOptions

__all__ = [
    "Ack",
    "ArqonBusError",
    "Bus",
    "ChannelDeleted",
    "Closed",
    "DecodeError",
    "Deleted",
    "Forked",
    "Full",
    "Gap",
    "Inbox",
    "Invalid",
    "Message",
    "Missed",
    "NotSent",
    "Position",
    "Presence",
    "Rejected",
    "Responder",
    "Topic",
    "Unknown",
    "Unreachable",
    "connect",
]

G = TypeVar("G", bound=Callable[[Gap], object])


def connect(url: str, **options: Unpack[ConnectOptions]) -> Bus:
    """Connects; see `arqonbus.connect`. Close it, or use it as `with connect(url) as bus`."""
    portal = Portal()

    async def begin() -> _bus.Bus:
        return await _bus.connect(url, **options)

    try:
        return Bus(portal, portal.call(begin()))
    except BaseException:
        portal.close()
        raise


class Bus:
    """A connection to the bus; see `arqonbus.Bus`."""

    def __init__(self, portal: Portal, bus: _bus.Bus) -> None:
        self._portal = portal
        self._bus = bus
        self.url = bus.url
        """The address."""

    def __repr__(self) -> str:
        return repr(self._bus)

    @property
    def state(self) -> State:
        """How the connection is."""
        return self._bus.state

    @property
    def client_id(self) -> str:
        """The id that the server gave this connection."""
        return self._bus.client_id

    @property
    def user(self) -> str | None:
        """The user whom this client acts for."""
        return self._bus.user

    @property
    def last_loss(self) -> str | None:
        """Why the connection was lost the last time, for people."""
        return self._bus.last_loss

    def on_state(self, handler: Callable[[State], object]) -> Callable[[State], object]:
        """Calls `handler` with every new state, in the thread of the bus."""
        return self._bus.on_state(handler)

    def on_refused(self, handler: Callable[[ArqonBusError], object]) -> Callable[[ArqonBusError], object]:
        """Calls `handler` with every refusal that nobody waits for, in the thread of the bus."""
        return self._bus.on_refused(handler)

    def publish(self, topic: str, payload: object, **options: Unpack[SendOptions]) -> Ack:
        """Publishes and waits for the ack."""
        return self._portal.call(self._bus.publish(topic, payload, **options))

    def publish_nowait(self, topic: str, payload: object, **options: Unpack[SendOptions]) -> None:
        """Publishes without an ack."""
        self._bus.publish_nowait(topic, payload, **options)

    def private(self, to: str, payload: object, **options: Unpack[SendOptions]) -> Ack:
        """Sends to one client or to every connection of a user."""
        return self._portal.call(self._bus.private(to, payload, **options))

    def broadcast(self, payload: object, *, room: str | None = None, **options: Unpack[SendOptions]) -> Ack:
        """Sends to the members of a room, or to everybody."""
        return self._portal.call(self._bus.broadcast(payload, room=room, **options))

    def request(
        self, topic: str, payload: object, *, headers: Mapping[str, str] | None = None, timeout: float | None = None
    ) -> Message:
        """Sends a request and gives the reply."""
        return self._portal.call(self._bus.request(topic, payload, headers=headers, timeout=timeout))

    def reply(self, request: Message, payload: object) -> Ack:
        """Answers a request that was received."""
        return self._portal.call(self._bus.reply(request, payload))

    def respond(self, topic: str) -> Callable[[Callable[[Message], object]], Responder]:
        """Answers every request at `topic` with what the decorated function gives, each in a thread of a pool."""

        def decorate(answer: Callable[[Message], object]) -> Responder:
            async def given(request: Message) -> object:
                return await asyncio.to_thread(answer, request)

            async def begin() -> _respond.Responder:
                return await self._bus.respond(topic)(given).ready()

            return Responder(self._portal, self._portal.call(begin()))

        return decorate

    def join(
        self,
        pattern: str,
        *,
        since: Position | None = None,
        replay: int | None = None,
        positions: Mapping[str, Position] | None = None,
        presence: bool = False,
        queue: int | None = None,
        conflate: bool = False,
    ) -> Topic:
        """Joins a topic or a pattern; see `arqonbus.Bus.join`."""

        async def begin() -> _topic.Topic:
            return await self._bus.join(
                pattern,
                since=since,
                replay=replay,
                positions=positions,
                presence=presence,
                queue=queue,
                conflate=conflate,
            )

        return Topic(self._portal, self._portal.call(begin()))

    def inbox(self) -> Inbox:
        """Receives private messages and broadcasts."""

        async def begin() -> _topic.Inbox:
            return await self._bus.inbox()

        return Inbox(self._portal, self._portal.call(begin()))

    def history(
        self,
        topic: str,
        *,
        since: Position | datetime.datetime | None = None,
        until: Position | datetime.datetime | None = None,
        limit: int | None = None,
        backward: bool = False,
        page_size: int | None = None,
    ) -> Iterator[Message]:
        """Reads what a topic holds, page by page."""
        history = self._bus.history(topic, since=since, until=until, limit=limit, backward=backward, page_size=page_size)
        while (page := self._portal.call(history._next_page())) is not None:
            yield from page

    def command(self, command: str, **args: Any) -> Any:
        """Sends any command of the protocol and gives its result."""
        return self._portal.call(self._bus.command(command, **args))

    def ping(self) -> float:
        """Asks for a sign of life and gives the seconds that it took."""
        return self._portal.call(self._bus.ping())

    def status(self) -> wire.StatusResult:
        """Shows the state of the bus."""
        return self._portal.call(self._bus.status())

    def rooms(self) -> list[wire.RoomSummary]:
        """Lists the rooms."""
        return self._portal.call(self._bus.rooms())

    def channels(self, room: str) -> list[wire.ChannelSummary]:
        """Lists the channels of a room."""
        return self._portal.call(self._bus.channels(room))

    def members(self, topic: str) -> list[wire.Member]:
        """Lists who is joined to a topic."""
        return self._portal.call(self._bus.members(topic))

    def channel_info(self, topic: str) -> wire.ChannelInfoResult:
        """Shows one channel."""
        return self._portal.call(self._bus.channel_info(topic))

    def create_channel(self, topic: str, description: str | None = None) -> wire.CreateChannelResult:
        """Creates a channel; one that exists stays as it is."""
        return self._portal.call(self._bus.create_channel(topic, description))

    def delete_channel(self, topic: str) -> wire.DeleteChannelResult:
        """Deletes a channel with its history."""
        return self._portal.call(self._bus.delete_channel(topic))

    def disconnect(self, *, client: str | None = None, user: str | None = None) -> wire.DisconnectResult:
        """Closes the connections of a client or user; needs the permission."""
        return self._portal.call(self._bus.disconnect(client=client, user=user))

    def set_token(self, token: str) -> None:
        """Replaces the credentials, also of the live connection."""
        self._portal.call(self._bus.set_token(token))

    def wake(self) -> None:
        """Looks at once whether the connection lives."""
        self._portal.call(self._bus.wake())

    def drain(self) -> None:
        """Takes no new work, waits for what is in flight, leaves, and closes."""
        self._finish(self._bus.drain())

    def close(self) -> None:
        """Closes at once: publishes in flight end as `Unknown`."""
        self._finish(self._bus.aclose())

    def _finish(self, work: Coroutine[Any, Any, None]) -> None:
        if self._portal.loop.is_closed():
            work.close()
            return
        try:
            self._portal.call(work)
        finally:
            self._portal.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is None:
            self.drain()
        else:
            self.close()


class _Messages:
    """Messages in batches, each fetched by one call into the loop."""

    def __init__(self, portal: Portal, stream: Any) -> None:
        self._portal = portal
        self._stream = stream
        self._batch: deque[Message] = deque()

    def __iter__(self) -> Iterator[Message]:
        return self

    def __next__(self) -> Message:
        message = self._next(None)
        if message is None:
            raise StopIteration
        return message

    def get(self, timeout: float | None = None) -> Message:
        """The next message; `TimeoutError` where none comes in so many seconds. Nothing is lost by that."""
        message = self._next(timeout)
        if message is None:
            raise Closed("the subscription has ended")
        return message

    def _next(self, timeout: float | None) -> Message | None:
        while True:
            try:
                return self._batch.popleft()
            except IndexError:
                pass
            batch: list[Message] = self._portal.call(self._stream._take(), timeout)
            if not batch:
                return None
            self._batch.extend(batch)

    def leave(self) -> None:
        """Leaves: nothing more comes, and what was not read is dropped."""
        self._batch.clear()
        if not self._portal.loop.is_closed():
            self._portal.call(self._stream.aclose())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.leave()


class Topic(_Messages):
    """A joined topic or pattern: `for message in topic`; see `arqonbus.Topic`."""

    _stream: _topic.Topic

    @property
    def pattern(self) -> str:
        """What was joined."""
        return self._stream.pattern

    @property
    def starts(self) -> dict[str, Position]:
        """Where each topic began when it was joined."""
        return self._stream.starts

    @property
    def heads(self) -> dict[str, Position]:
        """The last position of each topic when it was joined."""
        return self._stream.heads

    def on_gap(self, handler: G) -> G:
        """Calls `handler` with each gap, in the thread of the bus, before the messages after it are given."""
        return self._stream.on_gap(handler)

    def on_presence(self, handler: Callable[[Presence], object]) -> Callable[[Presence], object]:
        """Calls `handler` with each `Presence`, in the thread of the bus."""
        return self._stream.on_presence(handler)

    def items(self) -> Iterator[Item]:
        """Everything in order: messages, gaps, presence, deletions."""
        items = self._stream.items()

        async def following() -> Item | None:
            return await anext(items, None)

        while (item := self._portal.call(following())) is not None:
            yield item

    def publish(self, payload: object, **options: Unpack[SendOptions]) -> Ack:
        """Publishes to this topic."""
        return self._portal.call(self._stream.publish(payload, **options))

    def publish_nowait(self, payload: object, **options: Unpack[SendOptions]) -> None:
        """Publishes to this topic without an ack."""
        self._stream.publish_nowait(payload, **options)


class Inbox(_Messages):
    """Private messages and broadcasts: `for message in inbox`; see `arqonbus.Inbox`."""

    _stream: _topic.Inbox

    def on_missed(self, handler: Callable[[Missed], object]) -> Callable[[Missed], object]:
        """Calls `handler` with each `Missed`, in the thread of the bus, before the messages after it are given."""
        return self._stream.on_missed(handler)


class Responder:
    """Answers requests until it is closed."""

    def __init__(self, portal: Portal, responder: _respond.Responder) -> None:
        self._portal = portal
        self._responder = responder

    def close(self) -> None:
        """Leaves, and waits for the answers that are being made."""
        self._portal.call(self._responder.aclose())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
