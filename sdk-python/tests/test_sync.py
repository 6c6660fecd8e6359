"""The façade without asyncio."""

import contextlib
import gc
import inspect
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
import warnings
from collections.abc import Callable, Iterable
from typing import Any

import pytest

import arqonbus
from arqonbus import _arqonbus, sync
from arqonbus.testing import Server, unused_url

PAIRS: list[tuple[type[Any], type[Any]]] = [
    (sync.Bus, arqonbus.Bus),
    (sync.Topic, arqonbus.Topic),
    (sync.Inbox, arqonbus.Inbox),
    (sync.History, arqonbus.History),
    (sync.Jobs, arqonbus.Jobs),
    (sync.Job, arqonbus.Job),
    (sync.Responder, arqonbus.Responder),
]


@pytest.mark.parametrize(("ours", "theirs"), PAIRS, ids=lambda kind: kind.__module__)
def test_the_same_names_take_the_same_arguments(ours: type[Any], theirs: type[Any]) -> None:
    # `ready` has no counterpart: a responder of the façade is ready when it is there.
    wanted = {name for name in dir(theirs) if not name.startswith("_")} - {"aclose", "ready"}
    assert wanted <= set(dir(ours)), wanted - set(dir(ours))
    for name in wanted:
        if callable(getattr(theirs, name)):
            there = inspect.signature(getattr(theirs, name)).parameters
            assert list(inspect.signature(getattr(ours, name)).parameters) == list(there), name


def test_the_same_things_are_exported() -> None:
    assert set(arqonbus.__all__) - {"__version__"} == set(sync.__all__)


def test_publish_join_and_history(arqonbus_server: Server, room: str) -> None:
    with sync.connect(arqonbus_server.url, name="sync") as bus:
        with bus.join(f"{room}:a") as topic:
            for number in range(1_000):
                topic.publish_nowait(number)
            assert bus.publish(f"{room}:a", "last").position
            seen = []
            for message in topic:
                seen.append(message.payload)
                if message.payload == "last":
                    break
            assert seen == [*range(1_000), "last"]
            with pytest.raises(TimeoutError):
                topic.get(timeout=0.05)
            topic.publish("after the time-out")
            assert topic.get(timeout=10).payload == "after the time-out"
        assert [message.payload for message in bus.history(f"{room}:a", backward=True, limit=2)] == [
            "after the time-out",
            "last",
        ]
        assert bus.status()["state"] == "ready"
    assert bus.state == "closed"
    with pytest.raises(arqonbus.Closed):
        bus.publish(f"{room}:a", 1)


def test_a_gap_is_told_between_the_messages(arqonbus_server: Server, room: str) -> None:
    with sync.connect(arqonbus_server.url) as bus:
        bus.publish(f"{room}:a", 0)
        gaps: list[arqonbus.Gap] = []
        with bus.join(f"{room}:a", since=arqonbus.Position("another", 7)) as topic:
            topic.on_gap(gaps.append)
            topic.publish(1)
            topic.get(timeout=10)
            assert [gap.reason for gap in gaps] == ["epoch_changed"]
        with bus.join(f"{room}:a", since=arqonbus.Position("another", 7)) as topic:
            assert isinstance(next(topic.items()), arqonbus.Gap)


def test_requests_are_answered_in_threads(arqonbus_server: Server, room: str) -> None:
    with sync.connect(arqonbus_server.url) as asker, sync.connect(arqonbus_server.url) as bus:

        @bus.respond(f"{room}:echo")
        def echo(request: arqonbus.Message) -> object:
            assert threading.current_thread() is not threading.main_thread()
            return request.payload

        with echo:
            assert asker.request(f"{room}:echo", [1]).payload == [1]
        with bus.inbox() as inbox:
            asker.private(bus.client_id, "psst")
            assert next(inbox).payload == "psst"
            asker.private(bus.client_id, "psst again")
            assert isinstance(message := next(inbox.items()), arqonbus.Message)
            assert message.payload == "psst again"


def test_a_bus_is_shared_by_threads(arqonbus_server: Server, room: str) -> None:
    with sync.connect(arqonbus_server.url) as bus:
        threads = [threading.Thread(target=lambda n=n: [bus.publish(f"{room}:a", [n, i]) for i in range(50)]) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert len(list(bus.history(f"{room}:a"))) == 200


def test_a_wrong_address_fails_at_once_and_leaves_no_thread() -> None:
    before = threading.active_count()
    with pytest.raises(arqonbus.Unreachable):
        sync.connect(unused_url())
    assert threading.active_count() == before


def test_a_time_out_loses_no_message(arqonbus_server: Server, room: str) -> None:
    with sync.connect(arqonbus_server.url) as bus, bus.join(f"{room}:a") as topic:
        seen: list[object] = []
        sent = 0
        while len(seen) < 400:
            if sent < 400:
                topic.publish_nowait(sent)
                sent += 1
            with contextlib.suppress(TimeoutError):
                seen.append(topic.get(timeout=0.0002).payload)
        assert seen == list(range(400))


def test_messages_and_items_share_one_order(arqonbus_server: Server, room: str) -> None:
    with sync.connect(arqonbus_server.url) as bus:
        ack = bus.publish(f"{room}:a", 0)
        assert ack.position is not None
        with bus.join(f"{room}:a", since=arqonbus.Position("another", 7)) as topic:
            told: list[threading.Thread] = []
            topic.on_gap(lambda _: told.append(threading.current_thread()))
            for number in range(1, 5):
                topic.publish(number)
            assert [next(topic).payload for _ in range(2)] == [0, 1]
            assert told == [threading.current_thread()]
            items = topic.items()
            assert [item.payload for item in (next(items), next(items)) if isinstance(item, arqonbus.Message)] == [2, 3]
            assert topic.get(timeout=10).payload == 4


def test_threads_that_wait_hear_of_the_end(arqonbus_server: Server, room: str) -> None:
    ended: list[str] = []
    with sync.connect(arqonbus_server.url) as bus, sync.connect(arqonbus_server.url) as silent:
        listening = silent.join(f"{room}:silent")
        topic, inbox = bus.join(f"{room}:a"), bus.inbox()

        def ask() -> None:
            with pytest.raises((arqonbus.Closed, arqonbus.Unknown)):
                bus.request(f"{room}:silent", 1)
            ended.append("request")

        def get() -> None:
            with pytest.raises(arqonbus.Closed):
                topic.get()
            ended.append("get")

        def read(messages: Iterable[object], name: str) -> None:
            for _ in messages:
                pass
            ended.append(name)

        waits: list[Callable[[], object]] = [
            ask, get, lambda: read(topic, "topic"), lambda: read(topic.items(), "items"), lambda: read(inbox, "inbox"),
        ]  # fmt: skip
        waiting = [threading.Thread(target=wait) for wait in waits]
        for thread in waiting:
            thread.start()
        bus.close()
        for thread in waiting:
            thread.join(20)
        assert listening.pattern == f"{room}:silent"
        assert sorted(ended) == ["get", "inbox", "items", "request", "topic"]


def test_a_bus_that_nobody_closes_leaves_no_thread(arqonbus_server: Server, room: str) -> None:
    before = threading.active_count()
    topic = sync.connect(arqonbus_server.url).join(f"{room}:a")
    # A topic keeps its bus.
    gc.collect()
    topic.publish(1)
    assert topic.get(timeout=10).payload == 1
    with pytest.warns(ResourceWarning, match="not closed"):
        del topic
        gc.collect()
    deadline = time.monotonic() + 20
    while threading.active_count() > before or _arqonbus.runtime_threads():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_nothing_is_left_after_many_connections(arqonbus_server: Server, room: str) -> None:
    def left() -> tuple[int, int]:
        return len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task"))

    def use(times: int) -> None:
        for number in range(times):
            with sync.connect(arqonbus_server.url) as bus, bus.join(f"{room}:a") as topic:
                topic.publish(number)
                assert topic.get(timeout=10).payload == number

    use(5)
    gc.collect()
    before = left()
    use(100)
    gc.collect()
    assert left() == before


async def test_it_works_beside_a_running_event_loop(arqonbus_server: Server, room: str) -> None:
    """As in a notebook."""
    with sync.connect(arqonbus_server.url) as bus, bus.join(f"{room}:a") as topic:
        topic.publish(1)
        assert next(topic).payload == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_the_child_of_a_fork_is_told(arqonbus_server: Server, room: str) -> None:
    with sync.connect(arqonbus_server.url) as bus:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if child == 0:
            try:
                bus.publish(f"{room}:a", 1)
            except arqonbus.Forked:
                with sync.connect(arqonbus_server.url) as own:
                    own.publish(f"{room}:a", 2)
                os._exit(0)
            os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert bus.publish(f"{room}:a", 3).durability == "memory"


@pytest.mark.parametrize(
    "ending", ["pass", "raise SystemExit(0)", "raise KeyboardInterrupt", "import os; os.kill(os.getpid(), 15)"]
)
def test_the_interpreter_ends_in_the_middle_of_everything(arqonbus_server: Server, room: str, ending: str) -> None:
    program = f"""
        import threading, warnings
        warnings.simplefilter("ignore")
        import arqonbus.sync as arqonbus
        bus = arqonbus.connect({arqonbus_server.url!r})
        topic = bus.join("{room}:a")
        for number in range(1000):
            topic.publish_nowait(number)
        next(topic)
        threading.Thread(target=lambda: [None for _ in topic], daemon=True).start()
        {ending}
    """
    ended = run(program)
    assert ended.returncode in ({"raise KeyboardInterrupt": (-2, 130)}.get(ending, (-15,) if "kill" in ending else (0,)))
    assert "Fatal" not in ended.stderr
    assert "panicked" not in ended.stderr


def run(program: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, "-c", textwrap.dedent(program)], timeout=30, capture_output=True, text=True, check=False)


@pytest.mark.skipif(sys.platform == "win32", reason="sends a signal")
def test_ctrl_c_interrupts_a_wait(arqonbus_server: Server, room: str) -> None:
    program = f"""
        import sys
        import signal
        signal.signal(signal.SIGINT, signal.default_int_handler)  # also where whoever runs this ignores Ctrl-C
        import arqonbus.sync as arqonbus
        with arqonbus.connect({arqonbus_server.url!r}) as bus, bus.join("{room}:a") as topic:
            try:
                print("ready", flush=True)
                for message in topic:
                    pass
            except KeyboardInterrupt:
                print(bus.publish("{room}:a", "still alive").durability, flush=True)
    """
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(program)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        os.kill(process.pid, signal.SIGINT)
        assert process.communicate(timeout=20)[0] == "memory\n"
        assert process.returncode == 0
