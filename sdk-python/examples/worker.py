"""A worker of a group: `python worker.py ws://127.0.0.1:9100`; start several, and each order is one worker's job.

What fails is given back with the reason, and after some times it ends in `shop:orders.dead`. At Ctrl-C or SIGTERM the jobs in hand
are finished, and what was not begun goes to others.
"""

import argparse
import asyncio
import contextlib
import signal
from dataclasses import dataclass

import arqonbus


@dataclass
class Order:
    """What is ordered."""

    item: str
    pieces: int


async def work(url: str, name: str) -> None:
    """Takes jobs until it is told to stop; four of them at the same time."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        # Windows has no such handlers; there Ctrl-C ends it, and what it held goes to others.
        with contextlib.suppress(NotImplementedError):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
    stopped = asyncio.create_task(stop.wait())
    async with (
        arqonbus.connect(url, name=name, kind="worker") as bus,
        bus.join("shop:orders", group="packers", max_in_flight=4) as jobs,
    ):
        print(f"{name}: ready", flush=True)
        await asyncio.gather(*(pack(jobs, name, stopped) for _ in range(4)))


async def pack(jobs: arqonbus.Jobs, name: str, stopped: "asyncio.Task[bool]") -> None:
    """One job after the other."""
    while True:
        coming = asyncio.ensure_future(anext(jobs))
        await asyncio.wait({coming, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if stopped.done():
            coming.cancel()
            return
        await do(coming.result(), name)


async def do(job: arqonbus.Job, name: str) -> None:
    """Does a job and settles it: leaving the block says that it is done, an exception gives it back."""
    try:
        async with job:
            order = job.payload_as(Order)
            if order.pieces < 1:
                raise ValueError("nothing to pack")
            print(f"{name}: {order.pieces} × {order.item}", flush=True)
    except ValueError as error:
        print(f"{name}: given back, delivery {job.delivery}: {error}", flush=True)
    except (arqonbus.errors.NotHeld, arqonbus.Unknown):
        print(f"{name}: it took too long, or the connection was lost: another one does it again", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", nargs="?", default="ws://127.0.0.1:9100")
    parser.add_argument("--name", default="packer")
    arguments = parser.parse_args()
    asyncio.run(work(arguments.url, arguments.name))
