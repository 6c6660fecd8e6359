"""What calls may be told beside their subject."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Literal, TypeAlias, TypedDict

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
