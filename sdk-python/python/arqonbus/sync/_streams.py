"""What was joined, as iterators."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeVar

from .. import _history, _topic
from .._arqonbus import Ack, Gap, Message, Missed, Position, Presence
from .._portal import Portal
from .._topic import Item
from ._stream import Stream

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from .._options import SendOptions

G = TypeVar("G", bound=Callable[[Gap], object])
M = TypeVar("M", bound=Callable[[Missed], object])


class Topic(Stream[Message]):
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


class Inbox(Stream[Message]):
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
