"""The façade without asyncio."""

import inspect
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from typing import Any

import pytest

import arqonbus
from arqonbus import sync
from arqonbus.testing import Server, unused_url

PAIRS: list[tuple[type[Any], type[Any]]] = [
    (sync.Bus, arqonbus.Bus),
    (sync.Topic, arqonbus.Topic),
    (sync.Inbox, arqonbus.Inbox),
    (sync.History, arqonbus.History),
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


@pytest.mark.skipif(sys.platform == "win32", reason="sends a signal")
def test_ctrl_c_interrupts_a_wait(arqonbus_server: Server, room: str) -> None:
    program = f"""
        import sys
        import signal
        signal.signal(signal.SIGINT, signal.default_int_handler)  # also where whoever runs this ignores Ctrl-C
        import arqonbus.sync as arqonbus
        with arqonbus.connect({arqonbus_server.url!r}) as bus, bus.join("{room}:a") as topic:
            print("ready", flush=True)
            try:
                for message in topic:
                    pass
            except KeyboardInterrupt:
                print(bus.publish("{room}:a", "still alive").durability, flush=True)
    """
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(program)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.1)
        os.kill(process.pid, signal.SIGINT)
        assert process.communicate(timeout=20)[0] == "memory\n"
        assert process.returncode == 0
