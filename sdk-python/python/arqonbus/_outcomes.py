"""What can become of a call: the exceptions that are not error codes of the server."""

from __future__ import annotations

from typing import Literal, TypeAlias

Retry: TypeAlias = Literal["never", "later", "after"]


class ArqonBusError(Exception):
    """Every error of this package.

    `code` is the server's error code where it refused, else `None`. `retry` says whether the same call can succeed: `"never"`,
    `"later"`, or `"after"` the `retry_after` seconds. `at` is a JSON pointer into what was sent.
    """

    code: str | None = None
    retry: Retry = "never"
    retry_after: float | None = None
    at: str | None = None


class Rejected(ArqonBusError):
    """The server refused: certainly not done. There is a subclass for each error code."""


class Unknown(ArqonBusError):
    """It was sent, and no answer came in time: it may have been done or not.

    Publishing again under the same `id` is safe inside the server's deduplication window.
    """


class NotSent(ArqonBusError):
    """Certainly not done: there was no connection in time."""

    retry = "later"


class Full(ArqonBusError):
    """Certainly not done: as much is in flight as the client holds. Wait for acks first."""

    retry = "later"


class Invalid(ArqonBusError, ValueError):
    """The caller gave a name, payload or option that cannot be sent."""


class DecodeError(ArqonBusError, ValueError):
    """A payload or answer is not of the type that was asked for."""


class Closed(ArqonBusError):
    """The bus is closed for good.

    `reason` is `"closed"` where the application closed it, `"closed_by_server"` with a `close_code`, or `"unreachable"`.
    """

    reason: str = "closed"
    close_code: int | None = None


class Unreachable(Closed, ConnectionError):
    """The first connection could not be made."""

    reason = "unreachable"
    retry = "later"


class ChannelDeleted(ArqonBusError):
    """The channel of a subscription was deleted."""


class Forked(ArqonBusError, RuntimeError):
    """A bus was used in the child of a fork. Connect again there."""
