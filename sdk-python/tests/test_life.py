"""Nothing is left behind, and nothing hangs: leaks, forks, threads, the end of the interpreter."""

import asyncio
import gc
import os
import subprocess
import sys
import textwrap
import threading
import time
import warnings
from typing import Any

import pytest

import arqonbus
from arqonbus import _arqonbus
from arqonbus.testing import Server
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
