"""All exceptions: one base, one class for each error code, and the outcomes beside them."""

from __future__ import annotations

from . import _codes
from ._codes import (
    Draining,
    ErrorCode,
    Forbidden,
    IdConflict,
    Internal,
    InvalidArgs,
    InvalidCredentials,
    InvalidEnvelope,
    InvalidJSON,
    InvalidName,
    LimitExceeded,
    NoRecipient,
    NoResponder,
    NotHeld,
    NotJoined,
    OutcomeUnknown,
    Overloaded,
    RateLimited,
    StorageUnavailable,
    TooDeep,
    TooLarge,
    Unauthenticated,
    UnknownChannel,
    UnknownCommand,
    UnknownType,
    Unsupported,
)
from ._outcomes import (
    ArqonBusError,
    ChannelDeleted,
    Closed,
    DecodeError,
    Forked,
    Full,
    Invalid,
    NotSent,
    Rejected,
    Retry,
    Unknown,
    Unreachable,
)

__all__ = [
    "ArqonBusError",
    "ChannelDeleted",
    "Closed",
    "DecodeError",
    "Draining",
    "ErrorCode",
    "Forbidden",
    "Forked",
    "Full",
    "IdConflict",
    "Internal",
    "Invalid",
    "InvalidArgs",
    "InvalidCredentials",
    "InvalidEnvelope",
    "InvalidJSON",
    "InvalidName",
    "LimitExceeded",
    "NoRecipient",
    "NoResponder",
    "NotHeld",
    "NotJoined",
    "NotSent",
    "OutcomeUnknown",
    "Overloaded",
    "RateLimited",
    "Rejected",
    "Retry",
    "StorageUnavailable",
    "TooDeep",
    "TooLarge",
    "Unauthenticated",
    "Unknown",
    "UnknownChannel",
    "UnknownCommand",
    "UnknownType",
    "Unreachable",
    "Unsupported",
]

_BY_KIND: dict[str, type[ArqonBusError]] = {
    "unknown": Unknown,
    "not_sent": NotSent,
    "full": Full,
    "decode": DecodeError,
    "invalid": Invalid,
    "closed": Closed,
    "unreachable": Unreachable,
    "deleted": ChannelDeleted,
    "forked": Forked,
    "bus": ArqonBusError,
}


def _build(  # pyright: ignore[reportUnusedFunction]
    kind: str,
    message: str,
    *,
    code: str | None = None,
    retry: Retry | None = None,
    at: str | None = None,
    retry_after_ms: str | None = None,
    reason: str | None = None,
    close_code: str | None = None,
) -> ArqonBusError:
    """Makes the exception that the extension raises."""
    cls = _codes.BY_CODE.get(code or "", Rejected) if kind == "rejected" else _BY_KIND[kind]
    error = cls(f"{code}: {message}" + (f" (at {at})" if at else "") if code else message)
    error.code, error.at = code, at
    if retry is not None:
        error.retry = retry
    if retry_after_ms is not None:
        error.retry_after = int(retry_after_ms) / 1_000
    if isinstance(error, Closed):
        error.reason = reason or error.reason
        error.close_code = int(close_code) if close_code else None
    return error
