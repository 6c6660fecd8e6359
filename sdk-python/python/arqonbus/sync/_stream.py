"""What comes, as iterators: the part that all of them share."""

from __future__ import annotations

import time
from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from .._portal import Portal
from ..errors import Closed

if TYPE_CHECKING:
    from typing_extensions import Self

T = TypeVar("T")


class Stream(Generic[T]):
    """Items from the batch of an asynchronous stream, which is filled by one call into its loop when it is empty.

    They stay there until the moment they are given, so that a time-out or Ctrl-C loses none.
    """

    def __init__(self, portal: Portal, stream: Any) -> None:
        self._stream = stream
        self._portal = portal

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        try:
            return self._next(None)
        except StopAsyncIteration:
            raise StopIteration from None

    def get(self, timeout: float | None = None) -> T:
        """The next one; `TimeoutError` where none comes in so many seconds. Nothing is lost by that."""
        deadline = None if timeout is None else time.monotonic() + timeout
        try:
            return self._next(deadline)
        except StopAsyncIteration:
            raise Closed("the subscription has ended") from None

    def _next(self, deadline: float | None) -> T:
        while True:
            item = self._take(deadline)
            if type(item) is self._stream._wanted:
                return self._given(item)  # type: ignore[no-any-return]
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
            yield self._given(item)

    def _given(self, item: Any) -> Any:
        """An item as this façade gives it."""
        return item

    def leave(self) -> None:
        """Leaves: nothing more comes, and what was not read is dropped."""
        if not self._portal.loop.is_closed():
            self._portal.call(self._stream.aclose())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.leave()
