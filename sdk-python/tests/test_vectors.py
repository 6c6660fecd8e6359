"""Every shared vector through the codec inside the extension."""

import json
from pathlib import Path
from typing import Any

import pytest

from arqonbus import _arqonbus

VECTORS = Path(__file__).resolve().parents[2] / "tests" / "vectors"
INDEX: dict[str, Any] = json.loads((VECTORS / "index.json").read_text(encoding="utf-8"))


def load(kind: str) -> list[dict[str, Any]]:
    cases: list[dict[str, Any]] = []
    for name, count in INDEX[kind]["files"].items():
        of_file = json.loads((VECTORS / name).read_text(encoding="utf-8"))
        assert len(of_file) == count, name
        cases += of_file
    assert len(cases) == INDEX[kind]["count"]
    return cases


def test_every_frame_decodes_to_its_description() -> None:
    ran = 0
    for frame in load("frames"):
        wanted = frame["decoded"]
        batch = isinstance(wanted, list)
        texts = [line for line in frame["text"].split("\n") if line.strip()] if batch else [frame["text"]]
        found = [json.loads(_arqonbus.decode(frame["direction"], text, frame.get("result_of"))) for text in texts]
        wanted_list: list[Any] = wanted if batch else [wanted]
        assert found == wanted_list, frame["name"]
        ran += 1
    assert ran == INDEX["frames"]["count"] >= 60


def test_every_refusal_has_its_code_place_and_id() -> None:
    ran = 0
    for case in load("refusals"):
        text = case.get("text")
        if text is None:
            text = "".join(p if isinstance(p, str) else p["repeat"] * p["times"] for p in case["parts"])
        assert _arqonbus.refusal(text) == (case["code"], case.get("at", ""), case.get("id")), case["name"]
        ran += 1
    assert ran == INDEX["refusals"]["count"] >= 60


def test_what_is_wrong_is_noticed() -> None:
    assert _arqonbus.refusal('{"type":"command","command":"ping"}') is None
    with pytest.raises(ValueError, match="type"):
        _arqonbus.decode("server", '{"type":"command","command":"ping"}')
