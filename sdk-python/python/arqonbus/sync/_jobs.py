"""Work groups, with calls that wait."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from .. import _jobs
from .._arqonbus import Gap, Lost, Message, Position
from .._portal import Portal
from ._stream import Stream

if TYPE_CHECKING:
    from typing_extensions import Self

    from .. import wire

T = TypeVar("T")
G = TypeVar("G", bound=Callable[[Gap], object])
L = TypeVar("L", bound=Callable[[Lost], object])


class Job:
    """A message in the care of this client, until it is settled; `with job:` settles it. See `arqonbus.Job`."""

    __slots__ = ("_job", "_portal")

    def __init__(self, portal: Portal, job: _jobs.Job) -> None:
        self._job = job
        self._portal = portal

    def __repr__(self) -> str:
        return repr(self._job)

    @property
    def message(self) -> Message:
        """What it is about."""
        return self._job.message

    @property
    def delivery(self) -> int:
        """How often it was given out, this time included."""
        return self._job.delivery

    @property
    def payload(self) -> Any:
        """The payload of its message."""
        return self._job.payload

    def payload_as(self, kind: type[T]) -> T:
        """The payload as an object of a type."""
        return self._job.payload_as(kind)

    def ack(self) -> None:
        """Says that it is done."""
        self._portal.call(self._job.ack())

    def nack(self, *, delay: float | None = None, reason: str | None = None, dead: bool = False) -> None:
        """Gives it back; see `arqonbus.Job.nack`."""
        self._portal.call(self._job.nack(delay=delay, reason=reason, dead=dead))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._portal.call(self._job.__aexit__(kind, error, trace))


WorkItem: TypeAlias = Job | Gap | Lost


class Jobs(Stream[Job]):
    """The jobs of a work group: `for job in jobs`; see `arqonbus.Jobs`."""

    _stream: _jobs.Jobs

    @property
    def topic(self) -> str:
        """What was joined."""
        return self._stream.topic

    @property
    def group(self) -> str:
        """The name of the group."""
        return self._stream.group

    @property
    def start(self) -> Position:
        """Where the group stood when it was joined."""
        return self._stream.start

    @property
    def state(self) -> wire.GroupStart:
        """How the group was when it was joined, and what it keeps to."""
        return self._stream.state

    def on_gap(self, handler: G) -> G:
        """Calls `handler` with each gap, in the thread that reads, before the first job after it is given."""
        return self._stream.on_gap(handler)

    def on_lost(self, handler: L) -> L:
        """Calls `handler` where jobs that were held went to others, in the thread that reads."""
        return self._stream.on_lost(handler)

    def items(self) -> Iterator[WorkItem]:
        """Everything in order: jobs, gaps, and how many jobs went to others."""
        return self._items()

    def _given(self, item: Any) -> Any:
        return Job(self._portal, item) if type(item) is _jobs.Job else item
