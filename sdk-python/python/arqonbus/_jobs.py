"""Work groups: jobs that one member of many has, until it settles them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from . import _arqonbus
from ._arqonbus import Gap, Lost, Message, Position
from ._stream import Stream

if TYPE_CHECKING:
    from typing_extensions import Self

    from . import wire
    from ._bus import Bus

logger = logging.getLogger("arqonbus")

T = TypeVar("T")
G = TypeVar("G", bound=Callable[[Gap], object])
L = TypeVar("L", bound=Callable[[Lost], object])

# Characters of the reason of a nack, as the protocol bounds it.
_REASON_CHARS = 256


class Job:
    """A message in the care of this client, until it is settled by `ack` or `nack`.

    `async with job:` settles it by how the block ends: it is done, or given back with the exception as the reason. What is not
    settled in time, or held by a connection that is lost, goes to another member: settling it then is `errors.NotHeld`.
    """

    __slots__ = ("_bus", "_native")

    def __init__(self, bus: Bus, native: _arqonbus.Job) -> None:
        self._bus = bus
        self._native = native

    def __repr__(self) -> str:
        return f"<Job {self.message!r} delivery={self.delivery}>"

    @property
    def message(self) -> Message:
        """What it is about."""
        return self._native.message

    @property
    def delivery(self) -> int:
        """How often it was given out, this time included."""
        return self._native.delivery

    @property
    def payload(self) -> Any:
        """The payload of its message."""
        return self._native.message.payload

    def payload_as(self, kind: type[T]) -> T:
        """The payload as an object of a type; see `Message.payload_as`."""
        return self._native.message.payload_as(kind)

    async def ack(self) -> None:
        """Says that it is done. `NotHeld` where it is another's by now; `Unknown` where it may be given out again."""
        future = self._bus._link.future()
        self._native.ack(future)
        await future

    async def nack(self, *, delay: float | None = None, reason: str | None = None, dead: bool = False) -> None:
        """Gives it back: another member has it, or this one again, after `delay` seconds. `dead`: it goes to the dead-letter topic.

        `reason` becomes a header of the dead letter; what is longer than 256 characters is cut.
        """
        future = self._bus._link.future()
        self._native.nack(delay, None if reason is None else reason[:_REASON_CHARS], dead, future)
        await future

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is None:
            await self.ack()
        elif isinstance(error, Exception):
            await self.nack(reason=repr(error))
        else:
            # Whoever is cancelled does not wait for an answer.
            self._native.nack(None, repr(error)[:_REASON_CHARS], False, _unheard(self._bus._link.loop))


def _unheard(loop: asyncio.AbstractEventLoop) -> asyncio.Future[Any]:
    """A future whose outcome nobody asks for."""
    future = loop.create_future()
    future.add_done_callback(lambda done: done.cancelled() or done.exception())
    return future


WorkItem: TypeAlias = Job | Gap | Lost


class Jobs(Stream[Job]):
    """The jobs of a work group; `async for` gives them as they come. See `Bus.join`.

    Leaving gives what is held to others. Messages that nobody in the group will get are told by `on_gap`, jobs that went to others
    because the connection was lost by `on_lost`, or both stand among `items()`; without any of these they are logged as warnings.
    """

    _wanted = Job

    def __init__(self, bus: Bus, native: _arqonbus.Subscription, topic: str, group: str) -> None:
        super().__init__(bus, native)
        self.topic = topic
        self.group = group
        self._on_gap: list[Callable[[Gap], object]] = []
        self._on_lost: list[Callable[[Lost], object]] = []

    def __repr__(self) -> str:
        return f"<Jobs {self.topic} {self.group}{' left' if self._over else ''}>"

    @property
    def start(self) -> Position:
        """Where the group stood when it was joined: what had not been given out before came after it."""
        return self._native.topics[0][1]

    @property
    def state(self) -> wire.GroupStart:
        """How the group was when it was joined, and what it keeps to."""
        state: wire.GroupStart = _arqonbus.loads(self._native.group or "null")
        return state

    def on_gap(self, handler: G) -> G:
        """Calls `handler` with each gap, before the first job after it; also as a decorator."""
        self._on_gap.append(handler)
        return handler

    def on_lost(self, handler: L) -> L:
        """Calls `handler` where jobs that were held went to others; also as a decorator."""
        self._on_lost.append(handler)
        return handler

    def items(self) -> AsyncIterator[WorkItem]:
        """Everything in order: jobs, gaps, and how many jobs went to others."""
        return self._items()

    def _pop(self) -> Any:
        item = super()._pop()
        return Job(self._bus, item) if type(item) is _arqonbus.Job else item

    def _aside(self, item: Any) -> None:
        if type(item) is Gap:
            for on_gap in self._on_gap:
                on_gap(item)
            if not self._on_gap:
                logger.warning("messages are missing: %r", item)
        elif type(item) is Lost:
            for on_lost in self._on_lost:
                on_lost(item)
            if not self._on_lost:
                logger.warning("jobs of %s went to others: %r", self.group, item)
