"""Who should own the socket, the Rust driver or asyncio? Messages a second into one loop by each of them.

    python benchmarks/delivery.py --server ../target/release/arqonbus

The asyncio side is the least that such a design could do: frames from `websockets`, one `json.loads` an envelope, no core, no
positions, no resume.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import time

import websockets

import arqonbus
from arqonbus.testing import Server

PAYLOAD = {"n": 0, "text": "x" * 236}


async def flood(bus: arqonbus.Bus, count: int) -> None:
    """Publishes without acks, as fast as the client takes it."""
    for sent in range(count):
        while True:
            try:
                bus.publish_nowait("bench:delivery", PAYLOAD)
                break
            except arqonbus.Full:
                await asyncio.sleep(0)
        if sent % 64 == 0:
            await asyncio.sleep(0)


async def rust_driver(url: str, count: int) -> float:
    """Seconds for all messages, payloads read."""
    async with arqonbus.connect(url) as publisher, arqonbus.connect(url) as bus, bus.join("bench:delivery") as topic:
        began = time.perf_counter()
        flooding = asyncio.create_task(flood(publisher, count))
        for _ in range(count):
            _ = (await anext(topic)).payload["n"]
        seconds = time.perf_counter() - began
        await flooding
        return seconds


async def asyncio_socket(url: str, count: int) -> float:
    """The same by an asyncio WebSocket."""
    async with arqonbus.connect(url) as publisher, websockets.connect(url, max_size=None, compression=None) as socket:
        await socket.send('{"type":"command","id":"1","command":"connect","args":{"batch":true}}')
        await socket.send('{"type":"command","id":"2","command":"join_channel","args":{"room":"bench","channel":"delivery"}}')
        while json.loads(str(await socket.recv()).split("\n")[-1]).get("request_id") != "2":
            pass
        began = time.perf_counter()
        flooding = asyncio.create_task(flood(publisher, count))
        seen = 0
        while seen < count:
            for line in str(await socket.recv()).split("\n"):
                _ = json.loads(line)["payload"]["n"]
                seen += 1
        seconds = time.perf_counter() - began
        await flooding
        return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", help="the arqonbus command")
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    rates: dict[str, list[float]] = {"rust driver": [], "asyncio socket": []}
    with Server(binary=arguments.server) as server:
        for _ in range(arguments.rounds):
            rates["rust driver"].append(arguments.count / asyncio.run(rust_driver(server.url, arguments.count)))
            rates["asyncio socket"].append(arguments.count / asyncio.run(asyncio_socket(server.url, arguments.count)))
    for name, values in rates.items():
        print(f"{name}: {statistics.median(values) / 1000:.0f}k/s")


if __name__ == "__main__":
    main()
