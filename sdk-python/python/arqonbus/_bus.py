"""The connection and its calls."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
import warnings
import weakref
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar, overload

from . import _arqonbus
from ._arqonbus import Ack, Message
from ._commands import Commands
from ._history import History
from ._jobs import Jobs
from ._link import Link, Opening
from ._options import ConnectOptions, GroupOptions, HistoryOptions, JoinOptions, RequestOptions, SendOptions, State, Token, checked
from ._respond import Answer, Responder
from ._topic import Inbox, Topic
from .errors import ArqonBusError, Forked, Full

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

logger = logging.getLogger("arqonbus")

S = TypeVar("S", bound=Callable[[State], object])
R = TypeVar("R", bound=Callable[[ArqonBusError], object])


def connect(url: str, **options: Unpack[ConnectOptions]) -> Opening[Bus]:
    """Connects to `ws://host:port` or `wss://…`: `async with connect(url) as bus`, or `bus = await connect(url)`.

    Raises `Unreachable` where no connection came about, a `Rejected` where the server refused, `Invalid` for wrong options.
    Later losses are repaired without an error.
    """
    return Opening(lambda: _connect(url, dict(options)))


async def _connect(url: str, options: dict[str, Any]) -> Bus:
    provider = options.get("token_provider")
    by_thread = bool(options.pop("_ring_by_thread", False))
    if "metadata" in options:
        options["metadata"] = dict(options["metadata"])
    link = Link(by_thread=by_thread)
    try:
        future = link.future()
        tokens = _arqonbus.connect(url, options, link.bridge, future)
        provided = link.loop.create_task(_provide(link, tokens, provider)) if tokens and provider else None
        try:
            native = await future
        except BaseException:
            if provided:
                provided.cancel()
            raise
    except BaseException:
        link.close()
        raise
    return Bus(native, link, url, provided)


async def _provide(link: Link, tokens: _arqonbus.Tokens, provider: Token) -> None:
    """Answers wishes for tokens until the bus is closed."""
    while True:
        wanted = link.future()
        tokens.wait(link.bridge, wanted)
        if not await wanted:
            return
        try:
            token = provider()
            tokens.answer(await token if inspect.isawaitable(token) else token)
        except Exception as error:
            logger.warning("the token provider failed: %r", error)
            tokens.answer(None, repr(error))


class Bus(Commands):
    """A connection to the bus that repairs itself. It belongs to the event loop that connected it.

    `async with` drains on the way out: what is in flight is waited for. Left by an exception, it closes at once.
    """

    def __init__(self, native: _arqonbus.Bus, link: Link, url: str, provided: asyncio.Task[None] | None) -> None:
        self._native = native
        self._link = link
        self._provided = provided
        self._closing: asyncio.Task[None] | None = None
        self._on_state: list[Callable[[State], object]] = []
        self._on_refused: list[Callable[[ArqonBusError], object]] = []
        # Set once the last refusal was told.
        self._all_refused = asyncio.Event()
        self._responders: set[Responder] = set()
        self._known: tuple[str, str | None] = ("", None)
        self.url = url
        """The address."""
        self._identity()
        _follow(weakref.ref(self), link, native.next_state, "_told_state")
        _follow(weakref.ref(self), link, native.next_refusal, "_told_refusal")

    def __repr__(self) -> str:
        return f"<Bus {self.url} {self.state}>"

    def __del__(self) -> None:
        link = self.__dict__.get("_link")
        if link is not None and self._closing is None:
            warnings.warn(f"{self!r} was not closed", ResourceWarning, source=self, stacklevel=2)
            try:
                link.loop.call_soon_threadsafe(_abandon, self._native, link)
            except RuntimeError:
                # The loop has been closed.
                _abandon(self._native, link)

    @property
    def state(self) -> State:
        """How the connection is."""
        return self._native.state

    @property
    def client_id(self) -> str:
        """The id that the server gave this connection."""
        return self._identity()[0]

    @property
    def user(self) -> str | None:
        """The user whom this client acts for."""
        return self._identity()[1]

    def _identity(self) -> tuple[str, str | None]:
        identity = self._native.identity
        if identity is not None:
            # What was is still said when the bus is closed.
            self._known = identity[:2]
        return self._known

    @property
    def last_loss(self) -> str | None:
        """Why the connection was lost the last time, for people."""
        return self._native.last_loss

    def on_state(self, handler: S) -> S:
        """Calls `handler` with every new state; quick changes may be told as one. Also as a decorator."""
        self._on_state.append(handler)
        return handler

    def on_refused(self, handler: R) -> R:
        """Calls `handler` with every refusal that nobody waits for, such as of `publish_nowait`; without one they are logged."""
        self._on_refused.append(handler)
        return handler

    def _told_state(self, state: State | None) -> bool:
        if state is None:
            return False
        loss = self._native.last_loss
        if state == "waiting":
            logger.info("connection lost: %s", loss)
        elif state == "closed" and (fault := self._native.fault) is not None:
            logger.error("closed for good: %s", fault)
        else:
            logger.debug("%s", state)
        for handler in self._on_state:
            handler(state)
        return state != "closed"

    def _told_refusal(self, refusal: ArqonBusError | None) -> bool:
        if refusal is None:
            self._all_refused.set()
            return False
        for handler in self._on_refused:
            handler(refusal)
        if not self._on_refused:
            logger.warning("refused: %s", refusal)
        return True

    # Messages

    async def publish(self, topic: str, payload: object, **options: Unpack[SendOptions]) -> Ack:
        """Publishes to `room:channel` and waits for the ack, which says what it survives.

        Many may be in flight at once; they are stored in the order of the calls. Raises a `Rejected` (certainly not stored),
        `NotSent` (nor this), or `Unknown`.
        """
        future = self._link.future()
        self._native.publish(topic, payload, checked(options, SendOptions) if options else None, future)
        return await future  # type: ignore[no-any-return]

    def publish_nowait(self, topic: str, payload: object, **options: Unpack[SendOptions]) -> None:
        """Publishes without an ack. `Full` where the client holds all it can; refusals are told by `on_refused`."""
        if not self._native.publish_nowait(topic, payload, checked(options, SendOptions) if options else None):
            raise Full("too much in flight")

    async def private(self, to: str, payload: object, **options: Unpack[SendOptions]) -> Ack:
        """Sends to one client (`c_…`) or to every connection of a user (`user:ada`). `NoRecipient` where nobody is there."""
        return await self.publish(f"to/{to}", payload, **options)

    async def broadcast(self, payload: object, *, room: str | None = None, **options: Unpack[SendOptions]) -> Ack:
        """Sends to the members of any channel of a room, once each; without a room to everybody."""
        return await self.publish("to/*" if room is None else f"room/{room}", payload, **options)

    async def request(self, topic: str, payload: object, **options: Unpack[RequestOptions]) -> Message:
        """Sends a request and gives the reply. `NoResponder` at once where nobody could answer, `Unknown` after the time-out."""
        future = self._link.future()
        self._native.request(topic, payload, checked(options, RequestOptions), future)
        return await future  # type: ignore[no-any-return]

    async def request_private(self, to: str, payload: object, **options: Unpack[RequestOptions]) -> Message:
        """Sends a request to one client (`c_…`) or to a user (`user:ada`), whose inbox gets it; the first reply counts."""
        return await self.request(f"to/{to}", payload, **options)

    async def reply(self, request: Message, payload: object) -> Ack:
        """Answers a request that was received."""
        future = self._link.future()
        self._native.reply(request, payload, future)
        return await future  # type: ignore[no-any-return]

    def respond(self, topic: str) -> Callable[[Answer], Responder]:
        """Answers every request at `topic` with what the decorated function gives; several at the same time."""

        def decorate(answer: Answer) -> Responder:
            return Responder(self, topic, answer)

        return decorate

    # Subscriptions

    @overload
    def join(self, pattern: str, **options: Unpack[JoinOptions]) -> Opening[Topic]: ...
    @overload
    def join(self, pattern: str, *, group: str, **options: Unpack[GroupOptions]) -> Opening[Jobs]: ...

    def join(self, pattern: str, *, group: str | None = None, **options: Any) -> Opening[Topic] | Opening[Jobs]:
        """Joins a topic (`science:explore`) or a pattern (`orders:eu.*`): `async with bus.join(…) as topic`, or `await` it.

        `since` begins after a position, `replay` with the last n messages; `JoinOptions` has the others. A reader slower than its
        messages makes the server wait and loses nothing; with `conflate` the oldest of `queue` messages give way, with a gap.

        With `group` the members of that work group share the messages of one topic, and each is one member's `Job` until it is
        settled; `GroupOptions` has the options.
        """
        known = checked(options, JoinOptions if group is None else GroupOptions)

        async def begin() -> Topic:
            return Topic(self, await self._joined(pattern, known), pattern)

        async def work(group: str) -> Jobs:
            return Jobs(self, await self._joined(pattern, {**known, "group": group}), pattern, group)

        return Opening(begin) if group is None else Opening(lambda: work(group))

    async def _joined(self, pattern: str, options: dict[str, Any]) -> _arqonbus.Subscription:
        future = self._link.future()
        self._native.join(pattern, options, future)
        return await future  # type: ignore[no-any-return]

    def inbox(self) -> Opening[Inbox]:
        """Receives private messages and broadcasts, first what came before. Past a bound the oldest give way: `Inbox.on_missed`."""

        async def begin() -> Inbox:
            future = self._link.future()
            self._native.inbox(future)
            return Inbox(self, await future)

        return Opening(begin)

    def history(self, topic: str, **options: Unpack[HistoryOptions]) -> History:
        """Reads what a topic holds, page by page: `async for message in bus.history(…)`; `HistoryOptions` says what of it."""
        return History(self, self._native.history(topic, checked(options, HistoryOptions)))

    # Life

    async def set_token(self, token: str) -> None:
        """Replaces the credentials, also of the live connection."""
        future = self._link.future()
        self._native.set_token(token, future)
        await future

    async def wake(self) -> None:
        """Says that the machine has slept or the network changed: looks at once whether the connection lives."""
        future = self._link.future()
        self._native.wake(future)
        await future

    async def drain(self) -> None:
        """Takes no new work, waits for what is in flight, leaves, and closes."""
        await self._finish(drain=True)

    async def aclose(self) -> None:
        """Closes at once: publishes in flight end as `Unknown`."""
        await self._finish(drain=False)

    async def _finish(self, *, drain: bool) -> None:
        self._link.future().cancel()
        if self._closing is None:
            self._closing = self._link.loop.create_task(self._end(drain=drain))
        elif not drain and not self._closing.done():
            # Whoever is in a hurry does not wait for a drain that has begun.
            self._native.close(False, self._link.future())
        await asyncio.shield(self._closing)

    async def _end(self, *, drain: bool) -> None:
        try:
            self._identity()
            for responder in tuple(self._responders):
                await responder.aclose()
            future = self._link.future()
            self._native.close(drain, future)
            await future
            await self._all_refused.wait()
            self._native.release(True)
        finally:
            self._native.release(False)
            if self._provided is not None:
                self._provided.cancel()
                await asyncio.gather(self._provided, return_exceptions=True)
            self._link.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._finish(drain=kind is None)


def _abandon(native: _arqonbus.Bus, link: Link) -> None:
    """Lets go of a bus that nobody has any more; whoever collects warnings may still hold it."""
    with contextlib.suppress(Forked):
        native.release(False)
    link.close()


def _follow(bus: weakref.ref[Bus], link: Link, ask: Callable[[asyncio.Future[Any]], None], tell: str) -> None:
    """Asks again and again, and does not keep the bus alive."""

    def answered(future: asyncio.Future[Any]) -> None:
        living = bus()
        if living is None:
            return
        told = None if future.cancelled() or future.exception() is not None else future.result()
        try:
            more = getattr(living, tell)(told)
        except Exception:
            logger.exception("a handler failed")
            more = told not in ("closed", None)
        # What was refused is told until the end.
        if more and (living._closing is None or tell == "_told_refusal"):
            _follow(bus, link, ask, tell)

    future = link.loop.create_future()
    future.add_done_callback(answered)
    ask(future)
