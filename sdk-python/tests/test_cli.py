"""`python -m arqonbus`, the pytest plugin, and what is generated."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import arqonbus
from arqonbus import _codes, errors
from arqonbus.testing import Server, find_server, unused_url

HERE = Path(__file__).resolve().parents[1]


def run(*args: str, stdin: str | None = None) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "arqonbus", *args], input=stdin, capture_output=True, text=True, timeout=30, check=False
    )


def test_pub_and_sub(arqonbus_server: Server, room: str) -> None:
    url = ["--url", arqonbus_server.url]
    assert run("pub", *url, f"{room}:a", '{"text":"hi"}').returncode == 0
    assert run("pub", *url, f"{room}:a", stdin="1\n\nplain words\nNaN\n[true]\n").returncode == 0
    ended = run("sub", *url, f"{room}:a", "--replay", "10", "--count", "5")
    assert (ended.returncode, ended.stdout) == (0, '{"text":"hi"}\n1\n"plain words"\n"NaN"\n[true]\n')
    envelope = json.loads(run("sub", *url, f"{room}:a", "--replay", "1", "--count", "1", "--envelope").stdout)
    assert (envelope["type"], envelope["seq"], envelope["payload"]) == ("message", 5, [True])


def test_exit_codes() -> None:
    assert run("pub", "--url", unused_url(), "a:b", "1").returncode == 3
    assert run("pub").returncode == 2
    assert run("--version").stdout == f"arqonbus {arqonbus.__version__}\n"


def test_a_refusal_fails_the_command(arqonbus_server: Server) -> None:
    ended = run("pub", "--url", arqonbus_server.url, "_own:a", "1")
    assert (ended.returncode, ended.stderr.startswith("invalid_name")) == (1, True)


def test_the_plugin_serves_the_tests_of_others(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import arqonbus.sync

        def test_it(arqonbus_server, arqonbus_fresh_server):
            assert arqonbus_server.url != arqonbus_fresh_server.url
            with arqonbus.sync.connect(arqonbus_fresh_server.url) as bus:
                assert bus.publish("a:b", 1).position.seq == 1
        """
    )
    pytester.runpytest_subprocess().assert_outcomes(passed=1)


def test_a_server_that_cannot_start_is_said(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="did not start"):
        Server("--no-such-flag").start()
    assert find_server()


def test_there_is_a_class_for_every_code() -> None:
    table = json.loads((HERE.parent / "schema" / "codes.json").read_text(encoding="utf-8"))["errors"]
    assert [entry["code"] for entry in table] == list(_codes.BY_CODE)
    assert set(_codes.__all__) - {"BY_CODE"} <= set(errors.__all__)
    for entry in table:
        error = errors._build("rejected", "words", code=entry["code"], retry="after", at="/a", retry_after_ms="1500")
        assert type(error) is _codes.BY_CODE[entry["code"]]
        assert isinstance(error, errors.Rejected)
        assert (error.code, error.retry, error.at, error.retry_after) == (entry["code"], "after", "/a", 1.5)
        assert not isinstance(error, errors.Unknown)


def test_generated_modules_are_fresh() -> None:
    generator = [sys.executable, str(HERE / "tools" / "generate.py"), "--check"]
    ended = subprocess.run(generator, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
