"""What was joined, as asynchronous iterators."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from ._arqonbus import Deleted, Ended, Gap, Message, Missed, Position, Presence, Subscription

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

    from ._arqonbus import Ack
    from ._bus import Bus
    from ._options import SendOptions

logger = logging.getLogger("arqonbus")

Item: TypeAlias = Message | Gap | Presence | Deleted
G = TypeVar("G", bound=Callable[[Gap], object])
P = TypeVar("P", bound=Callable[[Presence], object])
M = TypeVar("M", bound=Callable[[Missed], object])

# Messages between two turns of the event loop: enough to make the turn cheap, too few to hold others up.
_BATCH = 256


class _Stream:
    """Items of a native queue, taken in batches; nothing is lost when a wait is cancelled."""

    def __init__(self, bus: Bus, native: Subscription) -> None:
        self._bus = bus
        self._native = native
        self._batch: deque[Any] = deque()
        self._over = False

    async def _fill(self) -> None:
        """Waits until the batch holds something."""
        if self._over:
            raise StopAsyncIteration
        # Other tasks run between two batches, however fast messages come.
        await asyncio.sleep(0)
        while not self._batch:
            batch = self._native.take(_BATCH)
            if batch:
                self._batch.extend(batch)
            else:
                ready = self._bus._link.future()
                self._native.wait(ready)
                await ready

    def _end(self, ended: Ended) -> BaseException:
        self._over = True
        return StopAsyncIteration() if ended.error is None else ended.error

    def leave(self) -> None:
        """Leaves: nothing more comes, and what was not read is dropped."""
        self._over = True
        self._batch.clear()
        self._native.leave()

    async def aclose(self) -> None:
        """Leaves; the name that `contextlib.aclosing` expects."""
        self.leave()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.leave()


class Topic(_Stream):
    """A joined topic or pattern; `async for` gives its messages in order.

    Leaving the loop by `break` does not leave the topic: use `async with bus.join(…) as topic`, or call `leave`.
    Messages that are missing are told by `on_gap`, or stand as `Gap` among `items()`; without either they are logged as warnings.
    """

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

    def __aiter__(self) -> AsyncIterator[Message]:
        return self

    async def __anext__(self) -> Message:
        """The next message; what else there is goes to its handlers."""
        while True:
            if not self._batch:
                await self._fill()
            item = self._batch.popleft()
            if type(item) is Message:
                return item
            self._aside(item)

    async def items(self) -> AsyncIterator[Item]:
        """Everything in order: messages, gaps, presence, deletions of single topics of a pattern."""
        while True:
            if not self._batch:
                try:
                    await self._fill()
                except StopAsyncIteration:
                    return
            item = self._batch.popleft()
            if type(item) is Ended:
                error = self._end(item)
                if isinstance(error, StopAsyncIteration):
                    return
                raise error
            yield item

    async def _take(self) -> list[Message]:
        """The next messages, as many as there are; none at the end."""
        while True:
            if not self._batch:
                try:
                    await self._fill()
                except StopAsyncIteration:
                    return []
            messages: list[Message] = []
            try:
                while self._batch:
                    if type(item := self._batch.popleft()) is Message:
                        messages.append(item)
                    elif messages:
                        # A gap is told after all messages before it, and so is the end.
                        self._batch.appendleft(item)
                        break
                    else:
                        self._aside(item)
            except StopAsyncIteration:
                return []
            if messages:
                return messages

    def _aside(self, item: object) -> None:
        if type(item) is Ended:
            raise self._end(item)
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


class Inbox(_Stream):
    """What is addressed to this client and to no topic: private messages and broadcasts.

    What came while there was no inbox comes first. Past a bound the oldest give way, then and for a slow reader: `on_missed` tells
    how many; without it that is logged as a warning.
    """

    def __init__(self, bus: Bus, native: Subscription) -> None:
        super().__init__(bus, native)
        self._on_missed: list[Callable[[Missed], object]] = []

    def on_missed(self, handler: M) -> M:
        """Calls `handler` with each `Missed`, before the first message after the missing ones; also as a decorator."""
        self._on_missed.append(handler)
        return handler

    def __aiter__(self) -> AsyncIterator[Message]:
        return self

    async def __anext__(self) -> Message:
        """The next message."""
        while True:
            if not self._batch:
                await self._fill()
            item = self._batch.popleft()
            if type(item) is Message:
                return item
            self._aside(item)

    async def _take(self) -> list[Message]:
        """The next messages, as many as there are; none at the end."""
        try:
            first = await anext(self)
        except StopAsyncIteration:
            return []
        messages = [first]
        while self._batch and type(self._batch[0]) is Message:
            messages.append(self._batch.popleft())
        return messages

    def _aside(self, item: object) -> None:
        if type(item) is Ended:
            raise self._end(item)
        if type(item) is Missed:
            for on_missed in self._on_missed:
                on_missed(item)
            if not self._on_missed:
                logger.warning("messages to this client gave way before they were read: %r", item)
