"""A chat room in a terminal: `python chat.py ada ws://127.0.0.1:9100`; what you type goes to everybody.

Give `--once TEXT` to say one thing, wait until it has come back, and leave.
"""

import argparse
import asyncio
import sys

import arqonbus


async def chat(name: str, url: str, once: str | None) -> None:
    """Reads and writes at the same time until the input ends."""
    async with arqonbus.connect(url, name=name) as bus, bus.join("chat:lobby", replay=10) as lobby:
        reading = asyncio.create_task(read(lobby, once))
        if once is not None:
            await lobby.publish({"from": name, "text": once})
            await reading
            return
        loop = asyncio.get_running_loop()
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            await lobby.publish({"from": name, "text": line.rstrip()})
        reading.cancel()


async def read(lobby: arqonbus.Topic, until: str | None) -> None:
    """Prints what comes, and says where something is missing."""
    async for item in lobby.items():
        if isinstance(item, arqonbus.Gap):
            print(f"… some messages are missing ({item.reason})")
        elif isinstance(item, arqonbus.Message):
            print(f"{item.payload['from']}: {item.payload['text']}")
            if item.payload["text"] == until:
                return


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name")
    parser.add_argument("url", nargs="?", default="ws://127.0.0.1:9100")
    parser.add_argument("--once")
    arguments = parser.parse_args()
    asyncio.run(chat(arguments.name, arguments.url, arguments.once))
