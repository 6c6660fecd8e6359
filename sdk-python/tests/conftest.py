"""A real server, and test functions that are coroutines."""

import asyncio
import contextlib
import inspect
import itertools
import os
import signal
import sys
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest

from arqonbus.testing import Server

ROOT = Path(__file__).resolve().parents[2]
# A test that takes longer hangs.
SECONDS = 60.0

pytest_plugins = ["pytester"]

os.environ.setdefault("ARQONBUS_BIN", str(ROOT / "target" / "debug" / "arqonbus"))

_rooms = itertools.count(1)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Runs a coroutine in a loop of its own, by the kind that the fixture `loop_kind` names."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = inspect.signature(pyfuncitem.obj).parameters
    arguments = {name: pyfuncitem.funcargs[name] for name in names}
    run_in_loop(lambda: pyfuncitem.obj(**arguments), str(pyfuncitem.funcargs.get("loop_kind", "asyncio")))
    return True


def run_in_loop(begin: Callable[[], Any], kind: str) -> None:
    """Runs a coroutine with a deadline."""

    async def limited() -> None:
        await asyncio.wait_for(begin(), SECONDS)

    if kind == "uvloop":
        uvloop = pytest.importorskip("uvloop")
        uvloop.run(limited())
    else:
        asyncio.run(limited())


@pytest.fixture(params=["asyncio", "uvloop"])
def loop_kind(request: pytest.FixtureRequest) -> str:
    """Lets a test run in every kind of event loop."""
    if request.param == "uvloop" and sys.platform == "win32":
        pytest.skip("uvloop is not for Windows")
    return str(request.param)


@pytest.fixture
def room() -> str:
    """A room that no other test uses."""
    return f"room{next(_rooms)}"


async def until(condition: Callable[[], object], what: str = "the condition") -> None:
    """Waits for a condition, with a deadline."""
    deadline = asyncio.get_running_loop().time() + 20
    while not condition():
        assert asyncio.get_running_loop().time() < deadline, f"{what} did not come about"
        await asyncio.sleep(0.005)


@contextlib.contextmanager
def standing_still(server: Server) -> Generator[None, None, None]:
    """A server that answers nothing meanwhile, and everything afterwards."""
    os.kill(server.pid, signal.SIGSTOP)
    os.waitid(os.P_PID, server.pid, os.WSTOPPED)
    try:
        yield
    finally:
        os.kill(server.pid, signal.SIGCONT)
