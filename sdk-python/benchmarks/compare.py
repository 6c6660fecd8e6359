"""Messages a second into one `async for`, and acknowledged publishes a second, against nats-py and python-socketio in one run.

    python benchmarks/compare.py --server ../target/release/arqonbus [--rounds 5] [--write]

Every peer gets its own server process, and all take turns, so that what the machine does meanwhile strikes all alike. Figures are
medians; the ratios are what counts. A peer that is not installed is skipped, and said so.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import arqonbus
from arqonbus.testing import Server

PAYLOAD = {"n": 0, "text": "x" * 236}
BYTES = json.dumps(PAYLOAD, separators=(",", ":")).encode()
README = Path(__file__).resolve().parents[1] / "README.md"


async def arqonbus_receive(url: str, count: int) -> float:
    async with arqonbus.connect(url) as bus, arqonbus.connect(url) as publisher, bus.join("bench:receive") as topic:

        async def publish() -> None:
            for sent in range(count):
                while True:
                    try:
                        publisher.publish_nowait("bench:receive", PAYLOAD)
                        break
                    except arqonbus.Full:
                        await asyncio.sleep(0)
                if sent % 64 == 0:
                    await asyncio.sleep(0)

        return await timed_receive(publish, topic, count, lambda message: message.payload["n"])


async def timed_receive(publish: Callable[[], Awaitable[None]], messages: Any, count: int, read: Callable[[Any], Any]) -> float:
    """Seconds from the first publish until the last message was read, payload included."""
    began = time.perf_counter()
    publishing = asyncio.ensure_future(publish())
    seen = 0
    async for message in messages:
        read(message)
        seen += 1
        if seen == count:
            break
    seconds = time.perf_counter() - began
    await publishing
    return seconds


async def arqonbus_publish(url: str, count: int) -> float:
    async with arqonbus.connect(url) as bus:
        return await timed_publish(lambda: bus.publish("bench:publish", PAYLOAD), count)


async def timed_publish(publish: Callable[[], Awaitable[Any]], count: int, width: int = 256) -> float:
    """Seconds for so many acknowledged publishes, `width` of them in flight."""

    async def worker() -> None:
        for _ in range(count // width):
            await publish()

    began = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(width)))
    return time.perf_counter() - began


async def nats_receive(url: str, count: int) -> float:
    import nats

    reader, publisher = await nats.connect(url), await nats.connect(url)
    try:
        subscription = await reader.subscribe("bench.receive", pending_msgs_limit=count + 1, pending_bytes_limit=1 << 30)
        await reader.flush()

        async def publish() -> None:
            for _ in range(count):
                await publisher.publish("bench.receive", json.dumps(PAYLOAD).encode())
            await publisher.flush()

        return await timed_receive(publish, subscription.messages, count, lambda message: json.loads(message.data)["n"])
    finally:
        await reader.close()
        await publisher.close()


async def nats_publish(url: str, count: int) -> float:
    import nats

    client = await nats.connect(url)
    try:
        stream = client.jetstream()
        await stream.add_stream(name="bench", subjects=["acked"], storage="memory", max_msgs=1_000)
        return await timed_publish(lambda: stream.publish("acked", json.dumps(PAYLOAD).encode()), count)
    finally:
        await client.close()


async def socketio_receive(url: str, count: int) -> float:
    import socketio  # type: ignore[import-untyped]

    client, queue = socketio.AsyncClient(), asyncio.Queue[Any]()
    client.on("message", queue.put_nowait)
    await client.connect(url, transports=["websocket"])
    try:
        began = time.perf_counter()
        await client.emit("flood", {"count": count, "payload": PAYLOAD})
        for _ in range(count):
            _ = (await queue.get())["n"]
        return time.perf_counter() - began
    finally:
        await client.disconnect()


async def socketio_publish(url: str, count: int) -> float:
    import socketio

    client = socketio.AsyncClient()
    await client.connect(url, transports=["websocket"])
    try:
        return await timed_publish(lambda: client.call("publish", PAYLOAD), count)
    finally:
        await client.disconnect()


SOCKETIO_SERVER = """
import sys, socketio, uvicorn
server = socketio.AsyncServer(async_mode="asgi")

@server.on("flood")
async def flood(sid, order):
    for _ in range(order["count"]):
        await server.emit("message", order["payload"], to=sid)

@server.on("publish")
async def publish(sid, payload):
    return {"ok": True}

uvicorn.run(socketio.ASGIApp(server), port=int(sys.argv[1]), log_level="error")
"""


class Process:
    """A server of a peer, reachable by a port."""

    def __init__(self, command: list[str], port: int) -> None:
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
            time.sleep(0.02)
        raise SystemExit(f"{command[0]} did not start")

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def import_ms(rounds: int) -> float:
    """The median of what `import arqonbus` adds to the start of an interpreter that has asyncio."""
    program = "import asyncio, time; t = time.perf_counter(); import arqonbus; print((time.perf_counter() - t) * 1000)"
    return statistics.median(
        float(subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout)
        for _ in range(rounds)
    )


def measure(arguments: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Medians of messages a second, by peer and kind."""
    running: list[Process] = []
    scratch = tempfile.mkdtemp(prefix="arqonbus-nats-")
    # As for nats-py, whose bounds on what waits for a reader are lifted: what a busy machine makes slow is no subject here.
    patient = ["--set", "limits.outbox_bytes=67108864", "--set", "limits.outbox_age_ms=60000"]
    bus = Server(*patient, binary=arguments.server).start()
    peers: dict[str, dict[str, Callable[[int], Awaitable[float]]]] = {
        "arqonbus": {"receive": lambda n: arqonbus_receive(bus.url, n), "publish": lambda n: arqonbus_publish(bus.url, n)},
    }
    if nats := shutil.which("nats-server") or shutil.which("/usr/sbin/nats-server"):
        port = free_port()
        running.append(Process([nats, "-p", str(port), "-a", "127.0.0.1", "-js", "-sd", scratch], port))
        url = f"nats://127.0.0.1:{port}"
        peers["nats-py"] = {"receive": lambda n: nats_receive(url, n), "publish": lambda n: nats_publish(url, n)}
    else:
        print("SKIPPED: nats-server is not installed, so nats-py is not measured", file=sys.stderr)
    port = free_port()
    running.append(Process([sys.executable, "-c", SOCKETIO_SERVER, str(port)], port))
    web = f"http://127.0.0.1:{port}"
    peers["python-socketio"] = {"receive": lambda n: socketio_receive(web, n), "publish": lambda n: socketio_publish(web, n)}
    rates: dict[str, dict[str, list[float]]] = {peer: {"receive": [], "publish": []} for peer in peers}
    try:
        for _ in range(arguments.rounds):
            for peer, kinds in peers.items():
                for kind, run in kinds.items():
                    count = arguments.count if kind == "receive" else arguments.count // 2 // 256 * 256
                    count = count // 4 // 256 * 256 if peer == "python-socketio" else count
                    rates[peer][kind].append(count / asyncio.run(run_once(run, count)))
    finally:
        bus.kill()
        for process in running:
            process.stop()
    return {peer: {kind: statistics.median(values) for kind, values in kinds.items()} for peer, kinds in rates.items()}


async def run_once(run: Callable[[int], Awaitable[float]], count: int) -> float:
    return await run(count)


def table(rates: dict[str, dict[str, float]], milliseconds: float) -> str:
    """The result as the README shows it."""
    lines = ["| | received into one `async for` | publishes with ack, 256 in flight |", "|---|---|---|"]
    own = rates["arqonbus"]
    for peer, kinds in rates.items():
        cells = [
            f"{kinds[kind] / 1000:.0f}k/s" + ("" if peer == "arqonbus" else f" (1 : {own[kind] / kinds[kind]:.1f})")
            for kind in kinds
        ]
        lines.append(f"| {peer} | {' | '.join(cells)} |")
    lines.append(f"\n`import arqonbus`: {milliseconds:.0f} ms beside asyncio.")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", help="the arqonbus command")
    parser.add_argument("--count", type=int, default=40_960)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--write", action="store_true", help="put the table into the README")
    parser.add_argument("--import-only", action="store_true", help="measure nothing but `import arqonbus`")
    arguments = parser.parse_args()
    if arguments.import_only:
        print(f"{import_ms(7):.0f} ms beside asyncio")
        return
    result = table(measure(arguments), import_ms(7))
    print(result)
    if arguments.write:
        text = README.read_text(encoding="utf-8")
        marked = re.sub(
            r"(<!-- benchmark -->\n).*?(\n<!-- end -->)", lambda match: match[1] + result + match[2], text, flags=re.DOTALL
        )
        README.write_text(marked, encoding="utf-8")


if __name__ == "__main__":
    main()
