"""The connection, with calls that wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import TYPE_CHECKING, Any, cast, overload

from .. import _bus, _respond
from .._arqonbus import Ack, Message
from .._options import State
from .._portal import Portal
from ..errors import ArqonBusError
from ._jobs import Jobs
from ._streams import History, Inbox, Topic

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

    from .. import wire
    from .._options import ConnectOptions, GroupOptions, HistoryOptions, JoinOptions, RequestOptions, SendOptions


def connect(url: str, **options: Unpack[ConnectOptions]) -> Bus:
    """Connects; see `arqonbus.connect`. Close it, or use it as `with connect(url) as bus`."""
    portal = Portal()
    try:
        return Bus(portal, portal.open(_bus.connect(url, **options)))
    except BaseException:
        portal.close()
        raise


class Bus:
    """A connection to the bus; see `arqonbus.Bus`."""

    def __init__(self, portal: Portal, bus: _bus.Bus) -> None:
        # In this order: a bus that nobody closed is let go before the loop that it needs for that.
        self._bus = bus
        self._portal = portal
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

    def request(self, topic: str, payload: object, **options: Unpack[RequestOptions]) -> Message:
        """Sends a request and gives the reply."""
        return self._portal.call(self._bus.request(topic, payload, **options))

    def request_private(self, to: str, payload: object, **options: Unpack[RequestOptions]) -> Message:
        """Sends a request to one client (`c_…`) or to a user (`user:ada`), whose inbox gets it; the first reply counts."""
        return self._portal.call(self._bus.request_private(to, payload, **options))

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

    @overload
    def join(self, pattern: str, **options: Unpack[JoinOptions]) -> Topic: ...
    @overload
    def join(self, pattern: str, *, group: str, **options: Unpack[GroupOptions]) -> Jobs: ...

    def join(self, pattern: str, *, group: str | None = None, **options: Any) -> Topic | Jobs:
        """Joins a topic, a pattern or, with `group`, a work group; see `arqonbus.Bus.join`."""
        if group is not None:
            return Jobs(self._portal, self._portal.open(self._bus.join(pattern, group=group, **cast("GroupOptions", options))))
        return Topic(self._portal, self._portal.open(self._bus.join(pattern, **cast("JoinOptions", options))))

    def inbox(self) -> Inbox:
        """Receives private messages and broadcasts."""
        return Inbox(self._portal, self._portal.open(self._bus.inbox()))

    def history(self, topic: str, **options: Unpack[HistoryOptions]) -> History:
        """Reads what a topic holds, page by page."""
        return History(self._portal, self._bus.history(topic, **options))

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
