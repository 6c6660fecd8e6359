"""What comes, as asynchronous iterators: the part that all of them share."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ._arqonbus import Ended, Subscription

if TYPE_CHECKING:
    from typing_extensions import Self

    from ._bus import Bus

T = TypeVar("T")

# Messages between two turns of the event loop: enough to make the turn cheap, too few to hold others up.
_BATCH = 256


class Stream(Generic[T]):
    """Items of a native queue, taken in batches; nothing is lost when a wait is cancelled."""

    _wanted: type[Any]
    """What the loop over it gives; the rest is taken aside."""

    def __init__(self, bus: Bus, native: Subscription) -> None:
        self._bus = bus
        self._native = native
        self._batch: deque[Any] = deque()
        self._over = False

    async def _fill(self) -> None:
        """Waits until the batch holds something."""
        waited = False
        while not self._batch:
            if self._over:
                raise StopAsyncIteration
            batch = self._native.take(_BATCH)
            self._batch.extend(batch)
            if not batch:
                ready = self._bus._link.future()
                self._native.wait(ready)
                await ready
                waited = True
            elif not waited:
                # Other tasks run between two batches, however fast messages come. Whoever is cancelled here finds the batch later,
                # so that even a wait without any time gets on.
                await asyncio.sleep(0)

    def __aiter__(self) -> AsyncIterator[T]:
        return self

    async def __anext__(self) -> T:
        """The next one; what else there is goes to its handlers."""
        while True:
            if not self._batch:
                await self._fill()
            item = self._pop()
            if type(item) is self._wanted:
                return item  # type: ignore[no-any-return]
            self._aside(item)

    async def _items(self) -> AsyncIterator[Any]:
        while True:
            try:
                if not self._batch:
                    await self._fill()
                item = self._pop()
            except StopAsyncIteration:
                return
            yield item

    def _pop(self) -> Any:
        """The next of the batch. `IndexError` where it is empty; at the end `StopAsyncIteration`, or what ended it."""
        item = self._batch.popleft()
        if type(item) is Ended:
            self._over = True
            raise StopAsyncIteration if item.error is None else item.error
        return item

    def _aside(self, item: Any) -> None:
        """Takes what is not wanted."""

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
