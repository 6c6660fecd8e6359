"""What was joined, as iterators."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from .. import _history, _topic
from .._arqonbus import Ack, Gap, Message, Missed, Position, Presence
from .._portal import Portal
from .._topic import Item
from ..errors import Closed

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

    from .._options import SendOptions

G = TypeVar("G", bound=Callable[[Gap], object])
M = TypeVar("M", bound=Callable[[Missed], object])


class _Messages:
    """Messages from the batch of an asynchronous stream, which is filled by one call into its loop when it is empty.

    They stay there until the moment they are given, so that a time-out or Ctrl-C loses none.
    """

    def __init__(self, portal: Portal, stream: Any) -> None:
        self._stream = stream
        self._portal = portal

    def __iter__(self) -> Iterator[Message]:
        return self

    def __next__(self) -> Message:
        try:
            return self._next(None)
        except StopAsyncIteration:
            raise StopIteration from None

    def get(self, timeout: float | None = None) -> Message:
        """The next message; `TimeoutError` where none comes in so many seconds. Nothing is lost by that."""
        deadline = None if timeout is None else time.monotonic() + timeout
        try:
            return self._next(deadline)
        except StopAsyncIteration:
            raise Closed("the subscription has ended") from None

    def _next(self, deadline: float | None) -> Message:
        while True:
            item = self._take(deadline)
            if type(item) is Message:
                return item
            self._stream._aside(item)

    def _take(self, deadline: float | None) -> Any:
        """The next of all items. `StopAsyncIteration` at the end, as of the stream; also where another thread closes the bus."""
        while True:
            try:
                return self._stream._pop()
            except IndexError:
                # Several threads may wait: who comes late finds nothing, and waits again.
                pass
            try:
                self._portal.call(self._stream._fill(), deadline)
            except Closed as closed:
                if closed.reason != "closed":
                    raise
                raise StopAsyncIteration from None

    def _items(self) -> Iterator[Any]:
        while True:
            try:
                item = self._take(None)
            except StopAsyncIteration:
                return
            yield item

    def leave(self) -> None:
        """Leaves: nothing more comes, and what was not read is dropped."""
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
        """Calls `handler` with each gap, in the thread that reads, before the first message after it is given."""
        return self._stream.on_gap(handler)

    def on_presence(self, handler: Callable[[Presence], object]) -> Callable[[Presence], object]:
        """Calls `handler` with each `Presence`, in the thread that reads."""
        return self._stream.on_presence(handler)

    def items(self) -> Iterator[Item]:
        """Everything in order: messages, gaps, presence, deletions."""
        return self._items()

    def publish(self, payload: object, **options: Unpack[SendOptions]) -> Ack:
        """Publishes to this topic."""
        return self._portal.call(self._stream.publish(payload, **options))

    def publish_nowait(self, payload: object, **options: Unpack[SendOptions]) -> None:
        """Publishes to this topic without an ack."""
        self._stream.publish_nowait(payload, **options)


class Inbox(_Messages):
    """Private messages and broadcasts: `for message in inbox`; see `arqonbus.Inbox`."""

    _stream: _topic.Inbox

    def on_missed(self, handler: M) -> M:
        """Calls `handler` with each `Missed`, in the thread that reads, before the first message after the missing ones."""
        return self._stream.on_missed(handler)

    def items(self) -> Iterator[Message | Missed]:
        """Everything in order: messages, and in place of missing ones how many."""
        return self._items()


class History:
    """A topic's messages, read page by page by `for`; see `arqonbus.History`."""

    def __init__(self, portal: Portal, history: _history.History) -> None:
        self._portal = portal
        self._history = history
        self._page: deque[Message] = deque()

    @property
    def gap(self) -> Gap | None:
        """What lay between `since` and the first message and is no longer held; known after the first message."""
        return self._history.gap

    def __iter__(self) -> Iterator[Message]:
        return self

    def __next__(self) -> Message:
        if not self._page:
            page = self._portal.call(self._history._next_page())
            if page is None:
                raise StopIteration
            self._page.extend(page)
        return self._page.popleft()

    def collect(self) -> list[Message]:
        """All that is left, as a list."""
        return list(self)
