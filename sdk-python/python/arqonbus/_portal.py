"""A thread with an event loop, for callers without one."""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import threading
from collections.abc import Awaitable, Coroutine
from typing import Any, TypeVar

from .errors import Closed, Forked

T = TypeVar("T")

# Seconds of one wait: an interpreter that cannot interrupt a wait looks for Ctrl-C this often.
_LOOK = 0.2


class Portal:
    """A thread with an event loop, and calls into it."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._pid = os.getpid()
        self._thread = threading.Thread(target=self._run, name="arqonbus-sync", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()
        self.loop.close()

    def call(self, work: Coroutine[Any, Any, T], timeout: float | None = None) -> T:
        """Runs a coroutine there and waits here; what interrupts the wait cancels the coroutine."""
        if self._pid != os.getpid():
            work.close()
            raise Forked("made before a fork: connect again in the child")
        if threading.current_thread() is self._thread:
            work.close()
            raise RuntimeError("a handler of this bus cannot wait for it: start a thread")
        if self.loop.is_closed() or not self._thread.is_alive():
            work.close()
            raise Closed("closed by the application")
        future = asyncio.run_coroutine_threadsafe(work, self.loop)
        try:
            return self._wait(future, timeout)
        except BaseException:
            future.cancel()
            raise

    def open(self, opening: Awaitable[T]) -> T:
        """Opens there what is opened by awaiting it."""

        async def opened() -> T:
            return await opening

        return self.call(opened())

    def _wait(self, future: concurrent.futures.Future[T], timeout: float | None) -> T:
        waited = 0.0
        while True:
            step = _LOOK if timeout is None else min(_LOOK, max(timeout - waited, 0.0))
            done, _ = concurrent.futures.wait([future], step)
            waited += step
            if done:
                return future.result()
            if timeout is not None and waited >= timeout:
                raise TimeoutError(f"nothing came in {timeout} s")

    def close(self) -> None:
        """Ends the thread, and waits for its end."""
        if not self.loop.is_closed():
            self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
