"""Every shared dialogue, played by the core inside the extension on a simulated clock."""

import json
from collections import deque
from pathlib import Path
from typing import Any

import pytest

from arqonbus import _arqonbus

DIALOGUES = Path(__file__).resolve().parents[2] / "tests" / "vectors" / "dialogues"
INDEX: dict[str, Any] = json.loads((DIALOGUES / "index.json").read_text(encoding="utf-8"))
PRELUDES: dict[str, Any] = json.loads((DIALOGUES / "preludes.json").read_text(encoding="utf-8"))


class Player:
    """Feeds the core, and compares what comes out with what is expected."""

    def __init__(self, config: dict[str, Any] | None) -> None:
        self.core = _arqonbus.Core(json.dumps(config or {}))
        self.now = 0
        self.wait: int | None = None
        self.wire: deque[dict[str, Any]] = deque()
        self.events: deque[dict[str, Any]] = deque()
        self.captures: dict[str, Any] = {}
        self.names: dict[str, dict[int, str]] = {"sub": {}, "call": {}}
        self.drain()

    def step(self, step: dict[str, Any]) -> None:
        if "at" in step:
            self.pass_time(step["at"], asleep=step.get("asleep", False))
        if "expect" in step:
            self.expect(step["expect"])
            return
        if step.keys() & {"app", "socket", "server"}:
            self.nothing_left()
        if "app" in step:
            assert self.app(step["app"]) == step.get("declined")
        elif "socket" in step:
            what = step["socket"]
            verb, args = (what, None) if isinstance(what, str) else next(iter(what.items()))
            self.core.socket(verb, json.dumps(args), self.now)
        elif "server" in step:
            self.core.frame(self.frame(step["server"]), self.now)
        self.drain()

    def pass_time(self, at: int, *, asleep: bool) -> None:
        assert at >= self.now, "time does not go back"
        while self.wait is not None and self.wait <= at and not asleep:
            self.now = max(self.now, self.wait)
            before = (self.wait, len(self.wire) + len(self.events))
            self.core.timeout(self.now)
            self.drain()
            assert before != (self.wait, len(self.wire) + len(self.events)), "a time-out changed nothing"
        self.now = at

    def drain(self) -> None:
        while True:
            kind, text = self.core.poll()
            if kind == "wait":
                self.wait = json.loads(text)
                return
            if kind == "send":
                self.wire.extend({"send": json.loads(line)} for line in text.split("\n"))
            elif kind == "event":
                self.heard(json.loads(text))
            else:
                self.wire.append({kind: json.loads(text)})

    def heard(self, event: dict[str, Any]) -> None:
        if event["event"] == "state":
            return
        for of, names in self.names.items():
            if of in event:
                event[of] = names.get(event[of], "?")
        self.events.append(event)

    def nothing_left(self) -> None:
        assert not self.wire, f"not expected: {self.wire[0]}"
        assert not self.events, f"not expected: {self.events[0]}"

    def expect(self, expected: dict[str, Any]) -> None:
        if "state" in expected:
            assert self.core.state == expected["state"]
        elif "wait" in expected:
            bounds = expected["wait"]
            left = None if self.wait is None else max(self.wait - self.now, 0)
            fits = left is None if bounds is None else left is not None and bounds[0] <= left <= bounds[1]
            assert fits, f"it waits {left} ms from now"
        elif "event" in expected:
            assert self.events, "nothing came"
            self.match(expected, self.events.popleft(), whole=False)
        else:
            assert self.wire, "nothing came"
            self.match(expected, self.wire.popleft(), whole=True)

    def app(self, call: str | dict[str, Any]) -> str | None:
        verb, given = (call, None) if isinstance(call, str) else next(iter(call.items()))
        args: Any = dict(given) if isinstance(given, dict) else given
        if verb in ("leave", "pause", "resume"):
            args = next(number for number, name in self.names["sub"].items() if name == args)
        if isinstance(args, dict) and "sub" in args:
            args["sub"] = next(number for number, name in self.names["sub"].items() if name == args["sub"])
        declined, number = self.core.call(verb, json.dumps(args), self.now)
        if number is not None and isinstance(args, dict):
            self.names["sub" if verb == "join" else "call"][number] = args.get("as", "")
        return declined

    def frame(self, envelope: Any) -> str:
        if isinstance(envelope, str):
            return envelope
        batch = envelope if isinstance(envelope, list) else [envelope]
        return "\n".join(json.dumps(self.filled(one)) for one in batch)

    def filled(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.captures.get(value, value)
        if isinstance(value, list):
            return [self.filled(item) for item in value]
        if isinstance(value, dict):
            return {name: self.filled(member) for name, member in value.items()}
        return value

    def match(self, expected: Any, found: Any, *, whole: bool) -> None:
        if isinstance(expected, str) and expected.startswith("$"):
            if expected.startswith("$$"):
                self.captures[expected[1:]] = found
            assert self.captures.setdefault(expected[expected.startswith("$$") :], found) == found
        elif isinstance(expected, dict) and isinstance(found, dict):
            for name, value in expected.items():
                self.match(value, found.get(name), whole=whole)
            assert not whole or not found.keys() - expected.keys(), f"more than expected: {found}"
        elif isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
            for wanted, there in zip(expected, found, strict=True):
                self.match(wanted, there, whole=whole)
        else:
            assert (type(expected) is bool) == (type(found) is bool)
            assert expected == found


def play(dialogue: dict[str, Any]) -> None:
    player = Player(dialogue.get("config"))
    steps = [step for one in dialogue["steps"] for step in (PRELUDES[one["use"]] if "use" in one else [one])]
    for number, step in enumerate(steps):
        try:
            player.step(step)
        except AssertionError as error:
            raise AssertionError(f"step {number} {step}: {error}") from error
    player.nothing_left()


def test_the_index_lists_every_dialogue() -> None:
    present = {path.name for path in DIALOGUES.glob("*.json")} - {"index.json", "preludes.json"}
    assert set(INDEX["files"]) == present
    assert INDEX["count"] == len(INDEX["files"]) >= 25


def test_every_dialogue_goes_as_written() -> None:
    failures: list[str] = []
    played = 0
    for name in INDEX["files"]:
        try:
            play(json.loads((DIALOGUES / name).read_text(encoding="utf-8")))
            played += 1
        except AssertionError as error:
            failures.append(f"{name}: {error}")
    assert not failures, "\n".join(failures)
    assert played == INDEX["count"]


@pytest.mark.parametrize(
    "steps",
    [
        [{"app": "connect"}, {"expect": {"open": "ws://elsewhere.test"}}],
        [{"app": "connect"}],
        [{"use": "connected"}, {"expect": {"state": "waiting"}}],
        [{"use": "connected"}, {"expect": {"event": "lost"}}],
        [{"use": "connected"}, {"expect": {"wait": [0, 10]}}],
    ],
)
def test_a_dialogue_that_is_wrong_is_noticed(steps: list[dict[str, Any]]) -> None:
    with pytest.raises(AssertionError):
        play({"steps": steps})
