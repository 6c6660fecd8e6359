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
from collections.abc import Mapping
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
    msgspec = sys.modules.get("msgspec")
    if msgspec is not None and isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return msgspec.json.decode(raw, type=kind)
    return _convert(json.loads(raw), kind)


def _convert(value: Any, kind: Any) -> Any:
    """Fits plain JSON to a type of the standard library: dataclasses, lists, dicts, unions, enums, literals."""
    if kind is Any or kind is object:
        return value
    origin = typing.get_origin(kind)
    if origin is not None:
        return _convert_generic(value, kind, origin)
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _convert_dataclass(value, kind)
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return kind(value)
    if kind is None or kind is type(None):
        kind = type(None)
    if kind is float and type(value) is int:
        return float(value)
    if isinstance(kind, type) and isinstance(value, kind) and not (kind is int and type(value) is bool):
        return value
    raise DecodeError(f"expected {getattr(kind, '__name__', kind)}, found {type(value).__name__}")


def _convert_dataclass(value: Any, kind: type) -> Any:
    if not isinstance(value, dict):
        raise DecodeError(f"expected an object for {kind.__name__}, found {type(value).__name__}")
    hints = typing.get_type_hints(kind)
    members = typing.cast("dict[str, Any]", value)
    known = {field.name for field in dataclasses.fields(kind) if field.init}
    return kind(**{name: _convert(member, hints[name]) for name, member in members.items() if name in known})


def _convert_generic(value: Any, kind: Any, origin: Any) -> Any:
    args = typing.get_args(kind)
    if origin is typing.Union or origin is types.UnionType:
        return _convert_union(value, args, kind)
    if origin is typing.Literal:
        if any(value == arg and type(value) is type(arg) for arg in args):
            return value
        raise DecodeError(f"expected {kind}, found {value!r}")
    if origin in (list, set, frozenset) and isinstance(value, list):
        items: list[Any] = value  # pyright: ignore[reportUnknownVariableType]
        return typing.cast("Any", origin)(_convert(item, args[0]) for item in items)
    if origin is dict and isinstance(value, dict):
        members = typing.cast("dict[str, Any]", value)
        return {name: _convert(member, args[1]) for name, member in members.items()}
    raise DecodeError(f"expected {kind}, found {type(value).__name__}")


def _convert_union(value: Any, args: tuple[Any, ...], kind: Any) -> Any:
    for arg in args:
        try:
            return _convert(value, arg)
        except (DecodeError, TypeError, ValueError):
            continue
    raise DecodeError(f"expected {kind}, found {type(value).__name__}")
