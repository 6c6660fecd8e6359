"""The event loop's side of the bridge: who wakes whom."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator
from types import TracebackType
from typing import Any, Generic, Protocol, TypeVar

from ._arqonbus import Bridge

T = TypeVar("T")


class Link:
    """Ties a bridge to the running event loop."""

    def __init__(self, *, by_thread: bool = False) -> None:
        self.loop = asyncio.get_running_loop()
        self.bridge = Bridge()
        self._descriptor = -1 if by_thread else self.bridge.fileno()
        if self._descriptor >= 0:
            try:
                self.loop.add_reader(self._descriptor, self.bridge.run)
            except NotImplementedError:
                self._descriptor = -1
        if self._descriptor < 0:
            loop, run = self.loop, self.bridge.run
            self.bridge.ring_by(lambda: loop.call_soon_threadsafe(run))

    def future(self) -> asyncio.Future[Any]:
        """A future of this loop; refuses to serve another one."""
        if asyncio.get_running_loop() is not self.loop:
            raise RuntimeError("this bus belongs to another event loop: connect in the loop that uses it")
        return self.loop.create_future()

    def close(self) -> None:
        """Lets go of the loop and of all calls."""
        if self._descriptor >= 0 and not self.loop.is_closed():
            self.loop.remove_reader(self._descriptor)
        self._descriptor = -1
        self.bridge.close()


class _Managed(Protocol):
    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


M = TypeVar("M", bound=_Managed)


class Opening(Generic[M]):
    """Something that can be awaited, or entered by `async with`."""

    def __init__(self, begin: Callable[[], Awaitable[M]]) -> None:
        self._begin = begin
        self._opened: M | None = None

    def __await__(self) -> Generator[Any, Any, M]:
        return self._begin().__await__()

    async def __aenter__(self) -> M:
        self._opened = opened = await self._begin()
        return opened

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._opened is not None:
            opened, self._opened = self._opened, None
            await opened.__aexit__(kind, error, trace)
