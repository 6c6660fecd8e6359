"""What calls may be told beside their subject."""

from __future__ import annotations

import datetime
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal, TypeAlias, TypedDict

from ._arqonbus import Position

State: TypeAlias = Literal["idle", "connecting", "connected", "waiting", "draining", "closed"]
Token: TypeAlias = Callable[[], "str | Awaitable[str]"]


class ConnectOptions(TypedDict, total=False):
    """What `connect` may be told beside the address. Times are seconds."""

    token: str
    """Credentials that do not change."""
    token_provider: Token
    """Credentials that change: called before every attempt to connect."""
    name: str
    """A name that people see in member lists."""
    kind: str
    """What kind of client it is, such as `worker`."""
    user: str
    """Whom it acts for; believed only by servers that ask for no credentials."""
    metadata: Mapping[str, object]
    """What members see of this client; at most 1 KiB as JSON."""
    backoff: tuple[float, float]
    """The bound of the first wait between attempts, and of every wait."""
    first_attempts: int
    """How many attempts the first connection gets, by default one; 0 goes on for ever."""
    connect_timeout: float
    """For one socket to open."""
    request_timeout: float
    """For commands, joins and replies."""
    publish_timeout: float
    """After it the outcome of a publish is `Unknown`. Keep it below the server's deduplication window."""
    in_flight: int
    """Publishes that may be queued or unacknowledged."""
    batch: bool
    """Whether a frame may hold several envelopes; it saves both sides work."""
    root_certificates: str | bytes
    """Authorities to believe at `wss://` beside those of the web, in PEM."""


class SendOptions(TypedDict, total=False):
    """What a message may be sent with."""

    headers: Mapping[str, str]
    """Texts by name."""
    id: str
    """The idempotency key: the same id within the server's window is stored once."""
    correlation_id: str
    """The message that this one answers."""
    exclude_sender: bool
    """Leaves this connection out of the delivery."""
    timeout: float
    """Seconds after which the outcome is given up."""


class RequestOptions(TypedDict, total=False):
    """What a request may be sent with."""

    headers: Mapping[str, str]
    """Texts by name."""
    timeout: float | None
    """Seconds to wait for the reply, by default the `request_timeout` of the connection."""


class JoinOptions(TypedDict, total=False):
    """How a topic or pattern may be joined."""

    since: Position | None
    """Begins after this position; a gap comes first where that cannot be."""
    replay: int | None
    """Begins with the last so many messages."""
    positions: Mapping[str, Position] | None
    """Resumes a pattern: the last position of each of its topics."""
    presence: bool
    """Whether it is told who joins and leaves."""
    queue: int | None
    """Messages that wait for the reader at most."""
    conflate: bool
    """Where the reader is too slow, whether the oldest messages give way, with a gap; else the server waits and nothing is lost."""


class GroupOptions(TypedDict, total=False):
    """How a work group may be joined, beside its name."""

    max_in_flight: int | None
    """Jobs that may be held unsettled, 1 to 1,000; 16 by default."""
    since: Position | None
    """Where a group begins that is not there yet: after this position, else at the head."""
    replay: int | None
    """Or with the last so many messages."""
    queue: int | None
    """Jobs that wait for the reader at most; never fewer than may be held."""


class HistoryOptions(TypedDict, total=False):
    """What part of a history is read, and how."""

    since: Position | datetime.datetime | None
    """Only what comes after this position or time."""
    until: Position | datetime.datetime | None
    """Only what comes up to this position or time, and that itself."""
    limit: int | None
    """So many messages at most."""
    backward: bool
    """Whether the newest comes first."""
    page_size: int | None
    """Messages fetched at a time."""


def checked(options: Any, kind: type[Any]) -> dict[str, Any]:
    """All options of a kind, `None` where one is not given. `TypeError` where one is not of the kind, as for any other call."""
    names = kind.__annotations__
    unknown = options.keys() - names.keys()
    if unknown:
        raise TypeError(f"no such option: {', '.join(sorted(unknown))}")
    return {name: options.get(name) for name in names}
