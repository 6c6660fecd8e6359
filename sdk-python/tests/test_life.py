"""Nothing is left behind, and nothing hangs: cancellation, leaks, forks, threads, the end of the interpreter."""

import asyncio
import gc
import os
import subprocess
import sys
import textwrap
import threading
import time
import warnings
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

import arqonbus
from arqonbus import _arqonbus
from arqonbus.testing import Server, unused_url
from conftest import until

linux_only = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def threads() -> int:
    return len(os.listdir("/proc/self/task"))


@linux_only
def test_nothing_is_left_after_many_connections(arqonbus_server: Server) -> None:
    count = int(os.environ.get("ARQONBUS_LEAK_CONNECTS", "1000"))

    async def connect(times: int) -> None:
        for _ in range(times):
            async with arqonbus.connect(arqonbus_server.url):
                pass

    asyncio.run(connect(50))
    gc.collect()
    before = descriptors(), threads(), resident_kb()
    asyncio.run(connect(count))
    gc.collect()
    assert (descriptors(), threads()) == before[:2]
    assert _arqonbus.runtime_threads() == 0
    assert resident_kb() - before[2] < 8_192, "less than a byte or two for each connection"


def resident_kb() -> int:
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024


@linux_only
async def test_many_connections_share_one_thread(arqonbus_server: Server) -> None:
    before = threads()
    buses = await asyncio.gather(*(arqonbus.connect(arqonbus_server.url) for _ in range(20)))
    assert _arqonbus.runtime_threads() == 1
    # Asking for an address may have started a thread of the runtime's pool, which ends by itself.
    assert threads() <= before + 2
    await asyncio.gather(*(bus.aclose() for bus in buses))
    await until(lambda: _arqonbus.runtime_threads() == 0)


async def test_a_cancelled_wait_loses_no_message(arqonbus_server: Server, room: str, loop_kind: str) -> None:
    async with arqonbus.connect(arqonbus_server.url) as bus, bus.join(f"{room}:a") as topic:
        seen: list[object] = []
        number = 0
        while len(seen) < 300:
            if number < 300:
                topic.publish_nowait(number)
                number += 1
            try:
                async with asyncio_timeout(0.0005):
                    seen.append((await anext(topic)).payload)
            except (asyncio.TimeoutError, TimeoutError):
                pass
        assert seen == list(range(300))


async def test_a_wait_without_any_time_gets_on(arqonbus_server: Server, room: str, loop_kind: str) -> None:
    async with arqonbus.connect(arqonbus_server.url) as bus, bus.join(f"{room}:a") as topic:
        for number in range(600):
            topic.publish_nowait(number)
        await topic.publish("last")
        seen: list[object] = []
        while seen[-1:] != ["last"]:
            try:
                async with asyncio_timeout(0):
                    seen.append((await anext(topic)).payload)
            except (asyncio.TimeoutError, TimeoutError):
                pass
        assert seen == [*range(600), "last"]


def asyncio_timeout(seconds: float) -> AbstractAsyncContextManager[object]:
    if sys.version_info < (3, 11):
        pytest.skip("asyncio.timeout is new in 3.11")
    return asyncio.timeout(seconds)


async def test_a_cancelled_call_is_forgotten(arqonbus_server: Server, room: str) -> None:
    async with arqonbus.connect(arqonbus_server.url) as bus, bus.join(f"{room}:a"):
        waits = [asyncio.ensure_future(bus.request(f"{room}:b", 1, timeout=0.2)) for _ in range(10)]
        await asyncio.sleep(0)
        for wait in waits:
            wait.cancel()
        results = await asyncio.gather(*waits, return_exceptions=True)
        assert all(isinstance(result, asyncio.CancelledError) for result in results)
        # What follows the connection stays: states and refusals.
        await until(lambda: bus._link.bridge.pending() == 2)


async def test_a_cancelled_join_leaves_again(arqonbus_server: Server, room: str) -> None:
    async with arqonbus.connect(arqonbus_server.url) as bus, arqonbus.connect(arqonbus_server.url) as other:
        joining = asyncio.ensure_future(_join(bus, f"{room}:a"))
        await asyncio.sleep(0)
        joining.cancel()
        with pytest.raises(asyncio.CancelledError):
            await joining
        await bus.ping()
        deadline = time.monotonic() + 10
        while await other.members(f"{room}:a"):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.01)
        async with bus.join(f"{room}:a"):
            pass


async def _join(bus: arqonbus.Bus, pattern: str) -> arqonbus.Topic:
    return await bus.join(pattern)


async def test_a_cancelled_connect_leaves_nothing() -> None:
    connecting = asyncio.ensure_future(_connect_for_ever(unused_url()))
    await asyncio.sleep(0.05)
    connecting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await connecting
    await until(lambda: _arqonbus.runtime_threads() == 0, "the end of the thread")


async def _connect_for_ever(url: str) -> None:
    await arqonbus.connect(url, first_attempts=0)


async def test_an_exception_in_the_block_closes_at_once(arqonbus_server: Server) -> None:
    buses: list[arqonbus.Bus] = []
    with pytest.raises(ZeroDivisionError):
        async with arqonbus.connect(arqonbus_server.url) as bus:
            buses.append(bus)
            raise ZeroDivisionError
    assert buses[0].state == "closed"


async def test_a_bus_that_nobody_closes_says_so_and_ends(arqonbus_server: Server) -> None:
    bus = await arqonbus.connect(arqonbus_server.url)
    with pytest.warns(ResourceWarning, match="not closed"):
        del bus
        gc.collect()
    await until(lambda: _arqonbus.runtime_threads() == 0, "the end of the thread")


def test_a_bus_belongs_to_its_event_loop(arqonbus_server: Server, room: str) -> None:
    loop = asyncio.new_event_loop()
    bus = loop.run_until_complete(_connected(arqonbus_server.url))

    async def use() -> None:
        await bus.publish(f"{room}:a", 1)

    with pytest.raises(RuntimeError, match="another event loop"):
        asyncio.run(use())
    loop.run_until_complete(bus.aclose())
    loop.close()


async def _connected(url: str) -> arqonbus.Bus:
    return await arqonbus.connect(url)


async def test_a_loop_that_cannot_watch_a_descriptor_is_rung_by_a_thread(arqonbus_server: Server, room: str) -> None:
    options = {"_ring_by_thread": True}
    async with arqonbus.connect(arqonbus_server.url, **options) as bus:  # type: ignore[arg-type]  # pyright: ignore
        assert "arqonbus-bell" in native_threads()
        async with bus.join(f"{room}:a") as topic:
            await asyncio.gather(*(topic.publish(number) for number in range(500)))
            assert [(await anext(topic)).payload for _ in range(500)] == list(range(500))
    await until(lambda: "arqonbus-bell" not in native_threads())


def native_threads() -> set[str]:
    if not sys.platform.startswith("linux"):
        pytest.skip("reads /proc")
    names: set[str] = set()
    for task in os.listdir("/proc/self/task"):
        try:
            with open(f"/proc/self/task/{task}/comm") as comm:
                names.add(comm.read().strip())
        except FileNotFoundError:
            continue
    return names


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_is_told_and_can_connect_again(arqonbus_server: Server, room: str) -> None:
    async def parent() -> None:
        async with arqonbus.connect(arqonbus_server.url) as bus:
            with warnings.catch_warnings():
                # Python 3.12 warns of forks beside threads, with reason.
                warnings.simplefilter("ignore", DeprecationWarning)
                child = os.fork()
            if child == 0:
                os._exit(in_child(bus))
            deadline = time.monotonic() + 20
            while (status := os.waitpid(child, os.WNOHANG))[0] == 0:
                assert time.monotonic() < deadline, "the child hangs"
                await asyncio.sleep(0.01)
            assert os.waitstatus_to_exitcode(status[1]) == 0
            await bus.publish(f"{room}:a", "the parent goes on")

    def in_child(bus: arqonbus.Bus) -> int:
        asyncio.events._set_running_loop(None)
        try:
            bus.publish_nowait(f"{room}:a", 1)
            return 1
        except arqonbus.Forked:
            pass

        async def again() -> None:
            async with arqonbus.connect(arqonbus_server.url) as own:
                await own.publish(f"{room}:a", "the child has its own")

        asyncio.run(again())
        return 0

    asyncio.run(parent())


@pytest.mark.parametrize("ending", ["return", "raise SystemExit(0)", "import os; os.kill(os.getpid(), 15)"])
def test_the_interpreter_ends_in_the_middle_of_everything(arqonbus_server: Server, room: str, ending: str) -> None:
    program = f"""
        import asyncio, warnings
        warnings.simplefilter("ignore")
        import arqonbus

        async def main():
            global bus
            bus = await arqonbus.connect({arqonbus_server.url!r})
            topic = await bus.join("{room}:a")
            for number in range(1000):
                topic.publish_nowait(number)
            await anext(topic)
            {ending}

        asyncio.run(main())
    """
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], timeout=30, capture_output=True, text=True, check=False
    )
    assert ended.returncode == (-15 if "kill" in ending else 0), ended.stderr
    assert "Fatal" not in ended.stderr
    assert "panicked" not in ended.stderr


async def test_other_tasks_run_while_messages_rush_in(arqonbus_server: Server, room: str) -> None:
    async with arqonbus.connect(arqonbus_server.url) as bus, bus.join(f"{room}:a") as topic:
        acks = asyncio.gather(*(topic.publish(number) for number in range(5_000)))
        turns = 0
        running = True

        async def turn() -> None:
            nonlocal turns
            while running:
                turns += 1
                await asyncio.sleep(0)

        turning = asyncio.ensure_future(turn())
        await acks
        turns = 0
        for _ in range(1_000):
            await anext(topic)
        assert turns >= 3
        running = False
        await turning


async def test_tasks_share_a_bus(arqonbus_server: Server, room: str) -> None:
    """Publishers and readers in many tasks; everything arrives everywhere, in one order."""
    async with arqonbus.connect(arqonbus_server.url) as bus:
        topics = [await bus.join(f"{room}:c{n}") for n in range(10)]

        async def read(topic: arqonbus.Topic) -> list[Any]:
            return [(await anext(topic)).payload for _ in range(200)]

        async def write(number: int) -> None:
            for sent in range(100):
                await bus.publish(f"{room}:c{number % 10}", [number, sent])

        reading = asyncio.gather(*(read(topic) for topic in topics))
        await asyncio.gather(*(write(n) for n in range(20)))
        read_by_topic = await reading
        for number, seen in enumerate(read_by_topic):
            for writer in (number, number + 10):
                assert [entry[1] for entry in seen if entry[0] == writer] == list(range(100))


def test_buses_in_many_threads(arqonbus_server: Server, room: str) -> None:
    failures: list[BaseException] = []

    async def work(name: str) -> None:
        async with arqonbus.connect(arqonbus_server.url) as bus, bus.join(f"{room}:{name}") as topic:
            await asyncio.gather(*(topic.publish(number) for number in range(200)))
            assert [(await anext(topic)).payload for _ in range(200)] == list(range(200))

    def run(name: str) -> None:
        try:
            asyncio.run(work(name))
        except BaseException as error:
            failures.append(error)

    running = [threading.Thread(target=run, args=(f"t{n}",)) for n in range(8)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join(60)
    assert failures == []


def test_import_is_quick() -> None:
    """The modules that the import pulls in are few; the time itself is measured by the benchmark."""
    program = "import sys; before = set(sys.modules); import arqonbus; print(*sorted(set(sys.modules) - before))"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert "arqonbus._arqonbus" in loaded
    assert not {"pytest", "pydantic", "msgspec", "arqonbus.sync", "arqonbus.testing", "arqonbus.wire"} & set(loaded)
