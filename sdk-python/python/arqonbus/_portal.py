"""A thread with an event loop, for callers without one."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import os
import threading
import time
from collections.abc import Awaitable, Coroutine, Iterable
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
        # The thread knows the loop and not the portal, which ends the thread when nobody has it any more.
        self._thread = threading.Thread(target=_run, args=(self.loop,), name="arqonbus-sync", daemon=True)
        self._thread.start()

    def __del__(self) -> None:
        if self._pid == os.getpid():
            self._stop()

    def call(self, work: Coroutine[Any, Any, T], deadline: float | None = None) -> T:
        """Runs a coroutine there and waits here until a moment; what interrupts the wait cancels the coroutine."""
        try:
            self._check()
            future = asyncio.run_coroutine_threadsafe(work, self.loop)
        except BaseException:
            work.close()
            raise
        try:
            return self._wait(future, deadline)
        except concurrent.futures.CancelledError:
            raise _closed() from None
        except BaseException:
            future.cancel()
            raise
        finally:
            if not self._thread.is_alive():
                # Handed over after the loop had ended: it was never begun, and shall not complain of that.
                work.close()

    def _check(self) -> None:
        if self._pid != os.getpid():
            raise Forked("made before a fork: connect again in the child")
        if threading.current_thread() is self._thread:
            raise RuntimeError("a handler of this bus cannot wait for it: start a thread")
        if self.loop.is_closed() or not self._thread.is_alive():
            raise _closed()

    def open(self, opening: Awaitable[T]) -> T:
        """Opens there what is opened by awaiting it."""

        async def opened() -> T:
            return await opening

        return self.call(opened())

    def _wait(self, future: concurrent.futures.Future[T], deadline: float | None) -> T:
        while True:
            left = _LOOK if deadline is None else deadline - time.monotonic()
            done, _ = concurrent.futures.wait([future], max(min(left, _LOOK), 0))
            if done:
                return future.result()
            if deadline is not None and time.monotonic() >= deadline:
                raise TimeoutError("nothing came in time")
            if not self._thread.is_alive() and not future.done():
                raise _closed()

    def close(self) -> None:
        """Ends the thread, and waits for its end."""
        self._stop()
        self._thread.join()

    def _stop(self) -> None:
        # It may have been closed in this very moment.
        with contextlib.suppress(RuntimeError):
            self.loop.call_soon_threadsafe(self.loop.stop)


def _run(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    loop.run_forever()
    # Whoever still waits in another thread hears of the end.
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    loop.run_until_complete(_settled(left))
    loop.close()


async def _settled(tasks: Iterable[asyncio.Task[Any]]) -> None:
    await asyncio.gather(*tasks, return_exceptions=True)


def _closed() -> Closed:
    return Closed("closed by the application")
