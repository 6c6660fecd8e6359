"""What was joined, as asynchronous iterators."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from ._arqonbus import Deleted, Gap, Message, Missed, Position, Presence, Subscription
from ._stream import Stream

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ._arqonbus import Ack
    from ._bus import Bus
    from ._options import SendOptions

logger = logging.getLogger("arqonbus")

Item: TypeAlias = Message | Gap | Presence | Deleted
G = TypeVar("G", bound=Callable[[Gap], object])
P = TypeVar("P", bound=Callable[[Presence], object])
M = TypeVar("M", bound=Callable[[Missed], object])


class Topic(Stream[Message]):
    """A joined topic or pattern; `async for` gives its messages in order.

    Leaving the loop by `break` does not leave the topic: use `async with bus.join(…) as topic`, or call `leave`.
    Messages that are missing are told by `on_gap`, or stand as `Gap` among `items()`; without either they are logged as warnings.
    """

    _wanted = Message

    def __init__(self, bus: Bus, native: Subscription, pattern: str) -> None:
        super().__init__(bus, native)
        self.pattern = pattern
        self._on_gap: list[Callable[[Gap], object]] = []
        self._on_presence: list[Callable[[Presence], object]] = []

    def __repr__(self) -> str:
        return f"<Topic {self.pattern}{' left' if self._over else ''}>"

    @property
    def starts(self) -> dict[str, Position]:
        """Where each topic began when it was joined: the first message comes after it."""
        return {topic: start for topic, start, _ in self._native.topics}

    @property
    def heads(self) -> dict[str, Position]:
        """The last position of each topic when it was joined."""
        return {topic: head for topic, _, head in self._native.topics}

    def on_gap(self, handler: G) -> G:
        """Calls `handler` with each gap, before the first message after it; also as a decorator."""
        self._on_gap.append(handler)
        return handler

    def on_presence(self, handler: P) -> P:
        """Calls `handler` with each `Presence`; join with `presence=True`. Also as a decorator."""
        self._on_presence.append(handler)
        return handler

    async def publish(self, payload: object, **options: Unpack[SendOptions]) -> Ack:
        """Publishes to this topic; see `Bus.publish`."""
        return await self._bus.publish(self.pattern, payload, **options)

    def publish_nowait(self, payload: object, **options: Unpack[SendOptions]) -> None:
        """Publishes to this topic without an ack; see `Bus.publish_nowait`."""
        self._bus.publish_nowait(self.pattern, payload, **options)

    def items(self) -> AsyncIterator[Item]:
        """Everything in order: messages, gaps, presence, deletions of single topics of a pattern."""
        return self._items()

    def _aside(self, item: Item) -> None:
        if type(item) is Gap:
            for on_gap in self._on_gap:
                on_gap(item)
            if not self._on_gap:
                logger.warning("messages are missing: %r", item)
        elif type(item) is Presence:
            for on_presence in self._on_presence:
                on_presence(item)
        elif type(item) is Deleted:
            logger.info("%s was deleted by %s", item.topic, item.by)


class Inbox(Stream[Message]):
    """What is addressed to this client and to no topic: private messages and broadcasts.

    What came while there was no inbox comes first. Past a bound the oldest give way, then and for a slow reader: `on_missed` tells
    how many, or a `Missed` among `items()`; without either that is logged as a warning.
    """

    _wanted = Message

    def __init__(self, bus: Bus, native: Subscription) -> None:
        super().__init__(bus, native)
        self._on_missed: list[Callable[[Missed], object]] = []

    def on_missed(self, handler: M) -> M:
        """Calls `handler` with each `Missed`, before the first message after the missing ones; also as a decorator."""
        self._on_missed.append(handler)
        return handler

    def items(self) -> AsyncIterator[Message | Missed]:
        """Everything in order: messages, and in place of missing ones how many."""
        return self._items()

    def _aside(self, item: Missed) -> None:
        for on_missed in self._on_missed:
            on_missed(item)
        if not self._on_missed:
            logger.warning("messages to this client gave way before they were read: %r", item)
