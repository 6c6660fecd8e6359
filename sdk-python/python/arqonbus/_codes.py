"""Generated from `schema/` by `sdk-python/tools/generate.py`; do not edit.

One exception for each error code of the protocol.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from ._outcomes import Rejected

__all__ = [
    "BY_CODE",
    "Draining",
    "ErrorCode",
    "Forbidden",
    "IdConflict",
    "Internal",
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
    "OutcomeUnknown",
    "Overloaded",
    "RateLimited",
    "StorageUnavailable",
    "TooDeep",
    "TooLarge",
    "Unauthenticated",
    "UnknownChannel",
    "UnknownCommand",
    "UnknownType",
    "Unsupported",
]

ErrorCode: TypeAlias = Literal[
    "invalid_json",
    "invalid_envelope",
    "too_deep",
    "too_large",
    "unknown_type",
    "unknown_command",
    "invalid_args",
    "invalid_name",
    "unauthenticated",
    "invalid_credentials",
    "forbidden",
    "unknown_channel",
    "not_joined",
    "not_held",
    "no_recipient",
    "no_responder",
    "id_conflict",
    "limit_exceeded",
    "rate_limited",
    "overloaded",
    "draining",
    "storage_unavailable",
    "outcome_unknown",
    "unsupported",
    "internal",
]


class InvalidJSON(Rejected):
    """Not JSON, or JSON that some language cannot read: duplicate keys, lone surrogates, numbers without a finite
    value.
    """


class InvalidEnvelope(Rejected):
    """JSON, but not an envelope: a field is missing, of the wrong type, or the server's own."""


class TooDeep(Rejected):
    """Nested deeper than 32 levels."""


class TooLarge(Rejected):
    """Larger than a limit of the welcome."""


class UnknownType(Rejected):
    """No such envelope type."""


class UnknownCommand(Rejected):
    """No such command."""


class InvalidArgs(Rejected):
    """The command's arguments do not fit it."""


class InvalidName(Rejected):
    """Not a name, pattern or address, or one of the server's own."""


class Unauthenticated(Rejected):
    """Credentials are needed first."""


class InvalidCredentials(Rejected):
    """The credentials are not valid."""


class Forbidden(Rejected):
    """Not allowed; the same answer whether the target exists or not."""


class UnknownChannel(Rejected):
    """The channel does not exist and is not created by use."""


class NotJoined(Rejected):
    """The client is not joined to that topic or pattern."""


class NotHeld(Rejected):
    """None of the jobs is held by this connection: settled before, timed out, or never given to it."""


class NoRecipient(Rejected):
    """Nobody is there to receive a private message."""


class NoResponder(Rejected):
    """Nobody is there to answer a request."""


class IdConflict(Rejected):
    """The same id was used for another message a moment ago."""


class LimitExceeded(Rejected):
    """A configured limit on what one client or the bus may hold is reached."""


class RateLimited(Rejected):
    """Too much at once from this client; wait `retry_after_ms`."""


class Overloaded(Rejected):
    """The bus is at its memory or queue bound."""


class Draining(Rejected):
    """The server is shutting down; reconnect after `retry_after_ms`."""


class StorageUnavailable(Rejected):
    """The store cannot be reached and the topic must not go on without it."""


class OutcomeUnknown(Rejected):
    """It may have been carried out, or may yet be: a part of the bus did not answer in time. The same id again
    does it once.
    """


class Unsupported(Rejected):
    """Known, but not offered here."""


class Internal(Rejected):
    """A defect of the server; its log has more."""


BY_CODE: dict[str, type[Rejected]] = {
    "invalid_json": InvalidJSON,
    "invalid_envelope": InvalidEnvelope,
    "too_deep": TooDeep,
    "too_large": TooLarge,
    "unknown_type": UnknownType,
    "unknown_command": UnknownCommand,
    "invalid_args": InvalidArgs,
    "invalid_name": InvalidName,
    "unauthenticated": Unauthenticated,
    "invalid_credentials": InvalidCredentials,
    "forbidden": Forbidden,
    "unknown_channel": UnknownChannel,
    "not_joined": NotJoined,
    "not_held": NotHeld,
    "no_recipient": NoRecipient,
    "no_responder": NoResponder,
    "id_conflict": IdConflict,
    "limit_exceeded": LimitExceeded,
    "rate_limited": RateLimited,
    "overloaded": Overloaded,
    "draining": Draining,
    "storage_unavailable": StorageUnavailable,
    "outcome_unknown": OutcomeUnknown,
    "unsupported": Unsupported,
    "internal": Internal,
}
