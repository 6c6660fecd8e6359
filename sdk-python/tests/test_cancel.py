"""Cancellation, time-outs, task groups and Ctrl-C: whoever gives up gets on, and nothing is lost or left behind by it."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager

import pytest

import arqonbus
from arqonbus import _arqonbus, sync
from arqonbus.testing import Server, unused_url
from conftest import standing_still, until

signals = pytest.mark.skipif(sys.platform == "win32", reason="sends a signal")


def asyncio_timeout(seconds: float) -> AbstractAsyncContextManager[object]:
    if sys.version_info >= (3, 11):
        return asyncio.timeout(seconds)
    return timeout_as_of_3_11(seconds)


@contextlib.asynccontextmanager
async def timeout_as_of_3_11(seconds: float) -> AsyncGenerator[None, None]:
    task = asyncio.current_task()
    assert task is not None
    timer = asyncio.get_running_loop().call_later(seconds, task.cancel)
    try:
        yield
    except asyncio.CancelledError as cancelled:
        raise TimeoutError from cancelled
    finally:
        timer.cancel()


async def forgotten(bus: arqonbus.Bus) -> None:
    """Waits until no call is left but those that follow the connection: states and refusals."""
    await until(lambda: bus._link.bridge.pending() == 2, "the end of what was cancelled")


async def test_a_cancelled_wait_loses_no_message(arqonbus_server: Server, room: str, loop_kind: str) -> None:
    async with arqonbus.connect(arqonbus_server.url) as bus, bus.join(f"{room}:a") as topic:
        seen: list[object] = []
        number = 0
        while len(seen) < 300:
            if number < 300:
                topic.publish_nowait(number)
                number += 1
            with contextlib.suppress(TimeoutError, asyncio.TimeoutError):
                async with asyncio_timeout(0.0005):
                    seen.append((await anext(topic)).payload)
        assert seen == list(range(300))


async def test_a_wait_without_any_time_gets_on(arqonbus_server: Server, room: str, loop_kind: str) -> None:
    async with arqonbus.connect(arqonbus_server.url) as bus, bus.join(f"{room}:a") as topic:
        for number in range(600):
            topic.publish_nowait(number)
        await topic.publish("last")
        seen: list[object] = []
        while seen[-1:] != ["last"]:
            with contextlib.suppress(TimeoutError, asyncio.TimeoutError):
                async with asyncio_timeout(0):
                    seen.append((await anext(topic)).payload)
        assert seen == [*range(600), "last"]


@signals
async def test_a_cancelled_call_is_forgotten(arqonbus_fresh_server: Server, room: str) -> None:
    async with arqonbus.connect(arqonbus_fresh_server.url) as bus:
        with standing_still(arqonbus_fresh_server):
            waits = [asyncio.ensure_future(bus.request(f"{room}:b", 1)) for _ in range(10)]
            await asyncio.sleep(0)
            for wait in waits:
                wait.cancel()
            results = await asyncio.gather(*waits, return_exceptions=True)
            assert all(isinstance(result, asyncio.CancelledError) for result in results)
        await forgotten(bus)


@signals
async def test_every_call_keeps_to_a_time_out(arqonbus_fresh_server: Server, room: str, loop_kind: str) -> None:
    """The server stands still, and so nothing is answered."""
    url = arqonbus_fresh_server.url
    async with arqonbus.connect(url) as bus:
        ack = await bus.publish(f"{room}:a", 0)
        topic = await bus.join(f"{room}:b")
        calls: list[Callable[[], Awaitable[object]]] = [
            lambda: bus.publish(f"{room}:a", 1),
            lambda: bus.request(f"{room}:a", 1),
            lambda: bus.join(f"{room}:c"),
            lambda: bus.history(f"{room}:a").collect(),
            lambda: bus.members(f"{room}:a"),
            lambda: bus.ping(),
            lambda: anext(topic),
            lambda: arqonbus.connect(url),
        ]
        with standing_still(arqonbus_fresh_server):
            for call in calls:
                with pytest.raises((TimeoutError, asyncio.TimeoutError)):
                    async with asyncio_timeout(0.01):
                        await call()
        # The publish that nobody waited for was sent all the same: cancelling does not take it back.
        messages = bus.history(f"{room}:a", since=ack.position)
        async for message in messages:
            assert message.payload == 1
        await forgotten(bus)
        assert bus.state == "connected"
    await until(lambda: _arqonbus.runtime_threads() == 0, "the end of the thread")


@signals
async def test_a_cancelled_join_leaves_again(arqonbus_fresh_server: Server, room: str) -> None:
    url = arqonbus_fresh_server.url
    async with arqonbus.connect(url) as bus, arqonbus.connect(url) as other:
        # The channel is there, also before the join is.
        await other.publish(f"{room}:a", 0)
        with standing_still(arqonbus_fresh_server):
            joining = asyncio.ensure_future(_awaited(bus.join(f"{room}:a")))
            await asyncio.sleep(0)
            joining.cancel()
            with pytest.raises(asyncio.CancelledError):
                await joining
        # After the join, which the same connection asked for.
        await bus.members(f"{room}:a")
        async with asyncio_timeout(20):
            while await other.members(f"{room}:a"):
                await asyncio.sleep(0.01)
        async with bus.join(f"{room}:a"):
            pass


async def _awaited(opening: Awaitable[object]) -> None:
    await opening


async def test_a_cancelled_connect_leaves_nothing() -> None:
    connecting = asyncio.ensure_future(_awaited(arqonbus.connect(unused_url(), first_attempts=0)))
    await asyncio.sleep(0.05)
    connecting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await connecting
    await until(lambda: _arqonbus.runtime_threads() == 0, "the end of the thread")


@signals
async def test_a_cancelled_drain_goes_on(arqonbus_fresh_server: Server, room: str) -> None:
    bus = await arqonbus.connect(arqonbus_fresh_server.url)
    with standing_still(arqonbus_fresh_server):
        publish = asyncio.ensure_future(bus.publish(f"{room}:a", 1))
        await asyncio.sleep(0)
        draining = asyncio.ensure_future(bus.drain())
        await asyncio.sleep(0)
        draining.cancel()
        with pytest.raises(asyncio.CancelledError):
            await draining
    assert (await publish).durability == "memory"
    await until(lambda: bus.state == "closed" and _arqonbus.runtime_threads() == 0, "the end of the drain")


async def test_an_exception_in_the_block_closes_at_once(arqonbus_server: Server) -> None:
    buses: list[arqonbus.Bus] = []
    with pytest.raises(ZeroDivisionError):
        async with arqonbus.connect(arqonbus_server.url) as bus:
            buses.append(bus)
            raise ZeroDivisionError
    assert buses[0].state == "closed"


if sys.version_info >= (3, 11):

    async def test_a_task_group_ends_as_one(arqonbus_server: Server, room: str, loop_kind: str) -> None:
        async with arqonbus.connect(arqonbus_server.url) as bus:
            started = asyncio.Event()
            ended: list[str] = []

            async def read() -> None:
                try:
                    async with bus.join(f"{room}:a") as topic:
                        async for _ in topic:
                            started.set()
                finally:
                    ended.append("reader")

            async def write() -> None:
                try:
                    while True:
                        await bus.publish(f"{room}:a", 1)
                finally:
                    ended.append("writer")

            async def fail() -> None:
                await started.wait()
                raise ZeroDivisionError

            with pytest.raises(ExceptionGroup) as failed:  # noqa: F821
                async with asyncio.TaskGroup() as group:
                    for work in (read, write, fail):
                        group.create_task(work())
            assert [type(error) for error in failed.value.exceptions] == [ZeroDivisionError]
            assert sorted(ended) == ["reader", "writer"]
            await forgotten(bus)
            assert await bus.members(f"{room}:a") == []

    async def test_a_refusal_ends_a_task_group(arqonbus_server: Server, room: str) -> None:
        async with arqonbus.connect(arqonbus_server.url) as bus, bus.join(f"{room}:a") as topic:
            with pytest.raises(ExceptionGroup) as failed:  # noqa: F821
                async with asyncio.TaskGroup() as group:
                    group.create_task(_awaited(anext(topic)))
                    group.create_task(_awaited(bus.publish("_own:a", 1)))
            assert isinstance(failed.value.exceptions[0], arqonbus.Rejected)
            await topic.publish("it goes on")
            assert (await anext(topic)).payload == "it goes on"


PROGRAM = """
    import signal, sys
    signal.signal(signal.SIGINT, signal.default_int_handler)  # also where whoever runs this ignores Ctrl-C
    import asyncio, os, threading
    {imports}
    import arqonbus

    async def main():
        async with arqonbus.connect({url!r}) as bus, bus.join("{room}:a", presence=True) as topic:
            await topic.publish(1)
            await anext(topic)
            print("ready", flush=True)
            try:
                async for message in topic:
                    pass
            finally:
                print("left by", sys.exc_info()[0].__name__, flush=True)

    try:
        {run}
    except KeyboardInterrupt:
        print("interrupted", threading.active_count(), arqonbus._arqonbus.runtime_threads(), flush=True)
"""


@signals
@pytest.mark.parametrize(
    ("imports", "run"),
    [("", "asyncio.run(main())"), ("import uvloop", "uvloop.run(main())")],
    ids=["asyncio", "uvloop"],
)
@pytest.mark.skipif(sys.version_info < (3, 11), reason="since 3.11 Ctrl-C cancels the main task")
def test_ctrl_c_ends_a_program_in_order(arqonbus_server: Server, room: str, imports: str, run: str) -> None:
    if imports:
        pytest.importorskip("uvloop")
    program = textwrap.dedent(PROGRAM.format(url=arqonbus_server.url, room=room, imports=imports, run=run))
    assert interrupted(["-c", program], at="ready") == ("left by CancelledError\ninterrupted 1 0\n", 0)


COMMAND = """
    import signal, runpy
    signal.signal(signal.SIGINT, signal.default_int_handler)
    runpy.run_module("arqonbus", run_name="__main__", alter_sys=True)
"""


@signals
def test_ctrl_c_ends_a_command_that_waits_for_messages(arqonbus_server: Server, room: str) -> None:
    with sync.connect(arqonbus_server.url) as bus:
        bus.publish(f"{room}:a", "ready")
    words = ["sub", "--url", arqonbus_server.url, f"{room}:a", "--replay", "1"]
    assert interrupted(["-c", textwrap.dedent(COMMAND), *words], at='"ready"') == ("", 130)


@signals
def test_ctrl_c_ends_a_command_that_waits_for_input(arqonbus_server: Server, room: str) -> None:
    words = ["pub", "--url", arqonbus_server.url, f"{room}:a"]
    with sync.connect(arqonbus_server.url) as bus, bus.join(f"{room}:a") as topic:
        ready = lambda: topic.get(timeout=20)  # noqa: E731
        assert interrupted(["-c", textwrap.dedent(COMMAND), *words], at=ready, says=b"1\n") == ("", 130)


def interrupted(command: list[str], *, at: str | Callable[[], object], says: bytes = b"") -> tuple[str, int]:
    """What a program says after Ctrl-C, and its exit code. Its input stays open."""
    read, write = os.pipe()
    try:
        os.write(write, says)
        process = subprocess.Popen(
            [sys.executable, *command], stdin=read, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        with process:
            assert process.stdout is not None
            assert process.stderr is not None
            if isinstance(at, str):
                assert process.stdout.readline() == f"{at}\n", process.stderr.read()
            else:
                at()
            os.kill(process.pid, signal.SIGINT)
            out, err = process.communicate(timeout=20)
            assert "Traceback" not in err, err
            assert "Fatal" not in err, err
            return out, process.returncode
    finally:
        os.close(read)
        os.close(write)
