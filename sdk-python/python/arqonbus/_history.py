"""A topic's past, read page by page."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING

from . import _arqonbus
from ._arqonbus import Gap, Message

if TYPE_CHECKING:
    from ._bus import Bus


class History:
    """A topic's messages, read page by page by `async for`."""

    def __init__(self, bus: Bus, native: _arqonbus.History) -> None:
        self._bus = bus
        self._native = native
        self._page: deque[Message] = deque()

    @property
    def gap(self) -> Gap | None:
        """What lay between `since` and the first message and is no longer held; known after the first message."""
        return self._native.gap

    def __aiter__(self) -> AsyncIterator[Message]:
        return self

    async def __anext__(self) -> Message:
        """The next message."""
        if not self._page:
            page = await self._next_page()
            if page is None:
                raise StopAsyncIteration
            self._page.extend(page)
        return self._page.popleft()

    async def _next_page(self) -> Sequence[Message] | None:
        future = self._bus._link.future()
        self._native.next_page(future)
        return await future  # type: ignore[no-any-return]

    async def collect(self) -> list[Message]:
        """All that is left, as a list."""
        return [message async for message in self]
