"""The server dies, restarts, or is too fast: the next message, or a gap."""

import asyncio

import arqonbus
from arqonbus.testing import Server
from conftest import until


async def test_a_loop_goes_on_after_the_server_was_killed(arqonbus_fresh_server: Server, room: str, loop_kind: str) -> None:
    server = arqonbus_fresh_server
    async with arqonbus.connect(server.url, backoff=(0.01, 0.1)) as bus, bus.join(f"{room}:a") as topic:
        seen: list[arqonbus.Item] = []

        async def read() -> None:
            async for item in topic.items():
                seen.append(item)

        reader = asyncio.create_task(read())
        for number in range(100):
            await topic.publish(number)
        await until(lambda: len(seen) == 100)
        server.kill()
        await until(lambda: bus.state != "connected")
        publish = asyncio.create_task(topic.publish("meanwhile"))
        server.start()
        ack = await publish
        # The memory of the server died with it, and the reader is told before the first message after it.
        await until(lambda: len(seen) == 102)
        gap, message = seen[100:]
        assert isinstance(gap, arqonbus.Gap)
        assert isinstance(message, arqonbus.Message)
        assert gap.reason == "epoch_changed"
        assert (message.payload, message.position) == ("meanwhile", ack.position)
        reader.cancel()


async def test_a_lost_socket_is_resumed_without_a_gap(arqonbus_fresh_server: Server, room: str) -> None:
    server = arqonbus_fresh_server
    async with arqonbus.connect(server.url, backoff=(0.01, 0.05)) as bus, arqonbus.connect(server.url) as other:
        async with bus.join(f"{room}:a") as topic, Proxy(server.url) as proxy:
            async with arqonbus.connect(proxy.url, backoff=(0.01, 0.05)) as far, far.join(f"{room}:a") as there:
                identity = far.client_id
                for round_ in range(5):
                    await other.publish(f"{room}:a", round_)
                    assert (await anext(topic)).payload == round_
                    proxy.cut()
                    await other.publish(f"{room}:a", -round_)
                    assert (await anext(topic)).payload == -round_
                items = there.items()
                received = [await anext(items) for _ in range(10)]
                assert [item.payload for item in received if isinstance(item, arqonbus.Message)] == [
                    0, 0, 1, -1, 2, -2, 3, -3, 4, -4,
                ]  # fmt: skip
                assert far.client_id == identity


async def test_a_publish_under_way_when_the_socket_is_lost_is_stored_once(arqonbus_fresh_server: Server, room: str) -> None:
    async with Proxy(arqonbus_fresh_server.url) as proxy:
        async with arqonbus.connect(proxy.url, backoff=(0.01, 0.05)) as bus:
            tasks = [asyncio.create_task(bus.publish(f"{room}:a", number)) for number in range(2_000)]
            while not all(task.done() for task in tasks):
                proxy.cut()
                await asyncio.sleep(0.05)
            acks = [task.result() for task in tasks]
            assert [ack.position.seq for ack in acks if ack.position] == list(range(1, 2_001))


async def test_a_slow_reader_loses_nothing(arqonbus_server: Server, room: str) -> None:
    async with arqonbus.connect(arqonbus_server.url) as bus, arqonbus.connect(arqonbus_server.url) as publisher:
        async with bus.join(f"{room}:a", queue=16) as topic:
            await asyncio.gather(*(publisher.publish(f"{room}:a", number) for number in range(1_000)))
            seen: list[object] = []
            async for message in topic:
                seen.append(message.payload)
                if len(seen) % 100 == 1:
                    # Long enough for the queue to fill again and again.
                    await asyncio.sleep(0.01)
                if len(seen) == 1_000:
                    break
            assert seen == list(range(1_000))


async def test_a_slow_reader_that_may_skip_is_told_what_it_skipped(arqonbus_server: Server, room: str) -> None:
    async with arqonbus.connect(arqonbus_server.url) as bus, arqonbus.connect(arqonbus_server.url) as publisher:
        async with bus.join(f"{room}:a", queue=16, conflate=True) as topic:
            for number in range(500):
                await publisher.publish(f"{room}:a", number)
            await publisher.publish(f"{room}:b", "mark")
            last = 0
            async for item in topic.items():
                if isinstance(item, arqonbus.Gap):
                    assert item.reason == "conflated"
                    assert item.after is None or item.after.seq == last
                    last = item.to.seq
                elif isinstance(item, arqonbus.Message):
                    assert item.position is not None
                    assert item.position.seq == last + 1
                    last = item.position.seq
                    if last == 500:
                        break


class Proxy:
    """A way to the server that can be cut."""

    def __init__(self, url: str) -> None:
        self._host, _, self._port = url.removeprefix("ws://").rpartition(":")
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.url = ""

    async def __aenter__(self) -> "Proxy":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"ws://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.cut()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        """Resets every connection at this moment."""
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            there, back = await asyncio.open_connection(self._host, int(self._port))
        except OSError:
            writer.transport.abort()
            return
        self._writers.add(back)
        for source, sink in ((reader, back), (there, writer)):
            task = asyncio.create_task(self._pump(source, sink))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    @staticmethod
    async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65_536):
                sink.write(data)
                await sink.drain()
        except OSError:
            pass
        finally:
            sink.transport.abort()
