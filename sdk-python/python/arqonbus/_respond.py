"""Answering requests with a function."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import TYPE_CHECKING, TypeAlias

from ._arqonbus import Message
from .errors import Closed

if TYPE_CHECKING:
    from typing_extensions import Self

    from ._bus import Bus

logger = logging.getLogger("arqonbus")

Answer: TypeAlias = Callable[[Message], Awaitable[object]]


class Responder:
    """Answers requests until it is closed; see `Bus.respond`."""

    # Requests that one responder answers at the same time; further ones wait in its queue.
    _ANSWERS_MAX = 64

    def __init__(self, bus: Bus, topic: str, answer: Answer) -> None:
        self._bus = bus
        self._answer = answer
        self._ready: asyncio.Future[None] = bus._link.future()
        self._task = bus._link.loop.create_task(self._serve(topic))
        bus._responders.add(self)

    async def ready(self) -> Responder:
        """Waits until requests are received, and raises what kept it from that."""
        await asyncio.shield(self._ready)
        return self

    async def aclose(self) -> None:
        """Leaves, and waits for the answers that are being made."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def __aenter__(self) -> Self:
        await self.ready()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.aclose()

    async def _serve(self, topic: str) -> None:
        answers: set[asyncio.Task[None]] = set()
        try:
            async with self._bus.join(topic) as requests:
                if not self._ready.done():
                    self._ready.set_result(None)
                async for request in requests:
                    if request.reply_to is None:
                        continue
                    while len(answers) >= self._ANSWERS_MAX:
                        await asyncio.wait(answers, return_when=asyncio.FIRST_COMPLETED)
                    task = self._bus._link.loop.create_task(self._give(request))
                    answers.add(task)
                    task.add_done_callback(answers.discard)
        except Exception as error:
            self._failed(topic, error)
        finally:
            self._bus._responders.discard(self)
            if not self._ready.done():
                self._ready.cancel()
            if answers:
                await asyncio.wait(answers)

    def _failed(self, topic: str, error: Exception) -> None:
        if self._ready.done():
            logger.error("the responder of %s has ended: %s", topic, error)
        else:
            self._ready.set_exception(error)
            # Not everybody waits until a responder is ready.
            self._ready.exception()
            logger.error("cannot answer requests at %s: %s", topic, error)

    async def _give(self, request: Message) -> None:
        try:
            await self._bus.reply(request, await self._answer(request))
        except Closed:
            pass
        except Exception:
            # Not told to the requester, whose time runs out: an answer says what is wrong, or nothing does.
            logger.exception("no answer to %r", request)
