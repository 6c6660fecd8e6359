"""Any value that JSON can hold goes out and comes back; what it cannot hold is refused."""

import dataclasses
import datetime
import enum
import json
import math
import pickle
import uuid
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, NewType, TypedDict

import pytest

import arqonbus
from arqonbus import _arqonbus
from arqonbus._payload import payload_as

VALUES: list[Any] = [
    None, True, False, 0, -1, 2**53, -(2**63), 2**64 - 1, 2**64, -(2**100), 10**300, 0.0, -0.0, 1.5, 1e-7, 1e300, "", "a",
    "ünïcode 🦀 \u2028 \x00 \" \\ \n", [], {}, [1, [2, [3]]], {"a": {"b": [None]}}, {"": 1}, [{"k": "v"}] * 10, 1e20,
]  # fmt: skip


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_a_value_comes_back_as_it_was(value: Any) -> None:
    text = _arqonbus.dumps(value)
    assert json.loads(text) == value
    back = _arqonbus.loads(text)
    assert back == value
    assert type(back) is type(value)
    assert "\n" not in text


@pytest.mark.parametrize("text", ["1e400", "-1e400", "{", "nope", "[1,]", ""])
def test_what_is_no_json_is_refused(text: str) -> None:
    if "e400" in text:
        assert math.isinf(_arqonbus.loads(text))
    else:
        with pytest.raises(ValueError):
            _arqonbus.loads(text)


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value",
    [
        math.nan,
        math.inf,
        {"a": -math.inf},
        {1: 2},
        {None: 1},
        {"a": object()},
        {1, 2},
        b"bytes",
        "\ud800",
        nested(32),
        10**400,
    ],
    ids=lambda value: repr(value)[:20],
)
def test_what_json_cannot_hold_is_invalid(value: Any) -> None:
    with pytest.raises(arqonbus.Invalid):
        _arqonbus.dumps(value)


def test_what_is_nested_as_deep_as_it_may_be_is_taken() -> None:
    assert _arqonbus.loads(_arqonbus.dumps(nested(31))) == nested(31)


def test_a_value_that_holds_itself_is_invalid() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(arqonbus.Invalid, match="levels"):
        _arqonbus.dumps(endless)


class Colour(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Point:
    x: float
    y: int = 0


@dataclasses.dataclass
class Shape:
    name: str
    points: list[Point]
    colour: Colour | None = None
    by_name: dict[str, Point] = dataclasses.field(default_factory=dict[str, Point])
    kind: Literal["open", "closed"] = "open"


def test_dataclasses_go_out_and_come_back() -> None:
    shape = Shape("s", [Point(1.5, 2), Point(1)], Colour.RED, {"a": Point(0)}, "closed")
    text = _arqonbus.dumps(shape)
    assert payload_as(Shape, text) == shape
    assert payload_as(list[int], "[1,2]") == [1, 2]
    for wrong in [
        '{"name":1,"points":[]}',
        '{"name":"a"}',
        "[]",
        '{"name":"a","points":[{"x":"y"}]}',
        '{"name":"a","points":[],"kind":"?"}',
    ]:
        with pytest.raises(arqonbus.DecodeError):
            payload_as(Shape, wrong)


UserId = NewType("UserId", int)


class Place(TypedDict):
    name: str
    at: tuple[float, float]


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (datetime.datetime, datetime.datetime(2026, 11, 22, 1, 2, 3, 4, datetime.timezone.utc)),
        (datetime.date, datetime.date(2026, 11, 22)),
        (uuid.UUID, uuid.UUID(int=7)),
        (UserId, UserId(3)),
        (Annotated[int, "of something"], 3),
        (tuple[int, str], (1, "a")),
        (tuple[int, ...], (1, 2, 3)),
        (Sequence[Point], [Point(1.5)]),
        (Mapping[str, list[Point]], {"a": [Point(1.5)]}),
        (Place, {"name": "here", "at": (1.5, 2.5)}),
        (float | int, 3),
        (Point | None, None),
        (list[Point] | Point, Point(0.5)),
        (dict[str, Colour], {"a": Colour.RED}),
        (Any, {"a": [1]}),
        (None, None),
    ],
    ids=str,
)
def test_what_went_out_comes_back(kind: Any, value: Any) -> None:
    back = payload_as(kind, _arqonbus.dumps(value))
    assert back == value
    assert type(back) is type(value)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (datetime.datetime, '"yesterday"'),
        (datetime.datetime, "1"),
        (tuple[int, str], "[1]"),
        (tuple[int, ...], '["a"]'),
        (Place, '{"name":"here"}'),
        (Place, "[]"),
        (Mapping[str, int], "[1]"),
        (Sequence[int], '{"a":1}'),
        (list[int], "1"),
        (int, "true"),
        (int | str, "[]"),
        (Colour, '"green"'),
    ],
    ids=str,
)
def test_what_does_not_fit_is_no_such_thing(kind: Any, text: str) -> None:
    with pytest.raises(arqonbus.DecodeError):
        payload_as(kind, text)


def test_a_time_may_be_written_by_others() -> None:
    assert payload_as(datetime.datetime, '"2026-11-22T01:02:03Z"') == datetime.datetime(
        2026, 11, 22, 1, 2, 3, tzinfo=datetime.timezone.utc
    )


def test_other_values_are_made_plain() -> None:
    now = datetime.datetime(2026, 11, 22, tzinfo=datetime.timezone.utc)
    key = uuid.UUID(int=1)
    assert _arqonbus.loads(_arqonbus.dumps([now, key, Colour.RED, (1, 2)])) == [
        now.isoformat(),
        str(key),
        "red",
        [1, 2],
    ]


def test_models_and_structs_go_out_and_come_back() -> None:
    pydantic = pytest.importorskip("pydantic")
    msgspec = pytest.importorskip("msgspec")

    class Model(pydantic.BaseModel):  # type: ignore[name-defined, misc]
        number: int
        when: datetime.date

    class Struct(msgspec.Struct):  # type: ignore[name-defined, misc]
        number: int

    model = Model(number=1, when=datetime.date(2026, 11, 22))
    assert payload_as(Model, _arqonbus.dumps(model)) == model
    assert payload_as(Struct, _arqonbus.dumps(Struct(2))) == Struct(2)
    both = [{"number": 1, "when": "2026-11-22"}, {"number": 2}]
    assert payload_as(list[Model | Struct], json.dumps(both)) == [model, Struct(2)]
    assert payload_as(dict[str, Struct], '{"a":{"number":2}}') == {"a": Struct(2)}
    for kind in (Model, Struct, list[Model]):
        with pytest.raises(arqonbus.DecodeError):
            payload_as(kind, '{"number":"x"}')


def test_a_position_is_a_value() -> None:
    position = arqonbus.Position("abc", 7)
    assert position == arqonbus.Position("abc", 7) != arqonbus.Position("abd", 7)
    assert {position: 1}[arqonbus.Position("abc", 7)] == 1
    assert pickle.loads(pickle.dumps(position)) == position
    assert repr(position) == "Position(epoch='abc', seq=7)"
    with pytest.raises(TypeError):
        _ = position < position  # type: ignore[operator]  # pyright: ignore
    for wrong in (("", 1), ("ABC", 1), ("a", 2**53)):
        with pytest.raises(arqonbus.Invalid):
            arqonbus.Position(*wrong)
