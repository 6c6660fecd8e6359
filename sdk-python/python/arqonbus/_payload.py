"""Payloads as objects of a type, and objects as payloads."""

from __future__ import annotations

import dataclasses
import datetime
import enum
import json
import sys
import types
import typing
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from .errors import DecodeError, Invalid


def plain(value: object) -> object:
    """Makes an object into what JSON holds. The extension calls it for what it does not know."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, Mapping):
        return dict(typing.cast("Mapping[object, object]", value))
    if isinstance(value, datetime.datetime | datetime.date):
        return value.isoformat()
    if isinstance(value, uuid.UUID):
        return str(value)
    if callable(dump := getattr(value, "model_dump", None)):
        return dump(mode="json")
    if (msgspec := sys.modules.get("msgspec")) is not None and isinstance(value, msgspec.Struct):
        return typing.cast("object", msgspec.to_builtins(value))
    raise Invalid(f"a value of type {type(value).__name__} cannot be sent as JSON")


def payload_as(kind: Any, raw: str) -> Any:
    """Reads JSON text into a type, by the library that the type belongs to."""
    try:
        return _read(kind, raw)
    except DecodeError:
        raise
    except Exception as error:
        raise DecodeError(f"the payload is no {getattr(kind, '__name__', kind)}: {error}") from error


def _read(kind: Any, raw: str) -> Any:
    if hasattr(kind, "model_validate_json"):
        return kind.model_validate_json(raw)
    if (msgspec := _msgspec_of(kind)) is not None:
        return msgspec.json.decode(raw, type=kind)
    return _convert(json.loads(raw), kind)


def _msgspec_of(kind: Any) -> Any:
    """The library, where `kind` is one of its structs. Not imported: whoever has a struct has imported it."""
    msgspec = sys.modules.get("msgspec")
    return msgspec if msgspec is not None and isinstance(kind, type) and issubclass(kind, msgspec.Struct) else None


def _convert(value: Any, kind: Any) -> Any:
    """Fits plain JSON to a type: of the standard library, or a model or struct within one."""
    if kind is Any or kind is object:
        return value
    if (inner := getattr(kind, "__supertype__", None)) is not None:
        return _convert(value, inner)
    if (origin := typing.get_origin(kind)) is not None:
        return _convert_generic(value, kind, origin)
    if (validate := getattr(kind, "model_validate", None)) is not None:
        return validate(value)
    if typing.is_typeddict(kind):
        return _convert_typed_dict(value, kind)
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _convert_dataclass(value, kind)
    if (msgspec := _msgspec_of(kind)) is not None:
        return msgspec.convert(value, kind)
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return kind(value)
    return _convert_plain(value, type(None) if kind is None else kind)


def _convert_plain(value: Any, kind: Any) -> Any:
    if kind is float and type(value) is int:
        return float(value)
    if isinstance(value, str) and (read := _FROM_TEXT.get(kind)) is not None:
        return read(value)
    if isinstance(kind, type) and isinstance(value, kind) and not (kind is int and type(value) is bool):
        return value
    raise _unfit(value, kind)


def _from_iso(text: str) -> datetime.datetime:
    # Python 3.10 knows no Z.
    return datetime.datetime.fromisoformat(f"{text[:-1]}+00:00" if text.endswith(("Z", "z")) else text)


# What `plain` made into text.
_FROM_TEXT: Mapping[Any, Callable[[str], Any]] = {
    datetime.datetime: _from_iso,
    datetime.date: datetime.date.fromisoformat,
    uuid.UUID: uuid.UUID,
}


def _convert_dataclass(value: Any, kind: type) -> Any:
    members, hints = _members(value, kind), typing.get_type_hints(kind)
    known = {field.name for field in dataclasses.fields(kind) if field.init}
    return kind(**{name: _convert(member, hints[name]) for name, member in members.items() if name in known})


def _convert_typed_dict(value: Any, kind: Any) -> dict[str, Any]:
    members, hints = _members(value, kind), typing.get_type_hints(kind)
    if missing := kind.__required_keys__ - members.keys():
        raise DecodeError(f"{', '.join(sorted(missing))} is missing")
    return {name: _convert(member, hints[name]) if name in hints else member for name, member in members.items()}


def _members(value: Any, kind: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _unfit(value, kind)
    return typing.cast("dict[str, Any]", value)


def _convert_generic(value: Any, kind: Any, origin: Any) -> Any:
    args = typing.get_args(kind)
    if origin is typing.Annotated:
        return _convert(value, args[0])
    if origin is typing.Union or origin is types.UnionType:
        return _convert_union(value, args, kind)
    if origin is typing.Literal:
        if any(value == arg and type(value) is type(arg) for arg in args):
            return value
        raise DecodeError(f"expected {kind}, found {value!r}")
    if isinstance(value, list):
        items: list[Any] = value  # pyright: ignore[reportUnknownVariableType]
        return _convert_list(items, kind, origin)
    if issubclass(dict, origin):
        return {name: _convert(member, args[1]) for name, member in _members(value, kind).items()}
    raise _unfit(value, kind)


def _convert_list(items: list[Any], kind: Any, origin: Any) -> Any:
    args = typing.get_args(kind)
    if origin is tuple and args[-1] is not ...:
        return tuple(_convert(item, arg) for item, arg in zip(items, args, strict=True))
    converted = [_convert(item, args[0]) for item in items]
    if issubclass(list, origin):
        return converted
    if origin in (tuple, set, frozenset):
        return typing.cast("Any", origin)(converted)
    raise _unfit(items, kind)


def _convert_union(value: Any, args: tuple[Any, ...], kind: Any) -> Any:
    # What the value is already comes first, so that `float | int` keeps an int.
    for arg in sorted(args, key=lambda arg: arg is not type(value)):
        try:
            return _convert(value, arg)
        except Exception:
            # Each library has errors of its own.
            continue
    raise _unfit(value, kind)


def _unfit(value: object, kind: Any) -> DecodeError:
    return DecodeError(f"expected {getattr(kind, '__name__', kind)}, found {type(value).__name__}")
