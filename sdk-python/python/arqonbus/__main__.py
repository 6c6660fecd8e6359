"""`python -m arqonbus pub|sub`: a message out, or messages in, one JSON text a line."""

from __future__ import annotations

import argparse
import asyncio
import concurrent.futures
import json
import logging
import os
import sys
import threading
from collections.abc import AsyncIterator

import arqonbus

from ._link import Opening

# Bytes of one read of the standard input.
_CHUNK = 65_536


def main() -> int:
    """Runs the command line; 0 ok, 1 failed, 3 cannot connect, 130 interrupted."""
    arguments = _parser().parse_args()
    logging.basicConfig(level=logging.INFO if arguments.verbose else logging.WARNING, format="%(message)s")
    try:
        return asyncio.run(_sub(arguments) if arguments.verb == "sub" else _pub(arguments))
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except arqonbus.Unreachable as error:
        print(error, file=sys.stderr)
        return 3
    except (arqonbus.ArqonBusError, UnicodeDecodeError) as error:
        print(error, file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m arqonbus", description=__doc__)
    parser.add_argument("--version", action="version", version=f"arqonbus {arqonbus.__version__}")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--url", default=os.environ.get("ARQONBUS_URL", "ws://127.0.0.1:9100"))
    common.add_argument("--token", default=os.environ.get("ARQONBUS_TOKEN"))
    common.add_argument("-v", "--verbose", action="store_true", help="say how the connection is")
    common.add_argument("topic", help="room:channel")
    verbs = parser.add_subparsers(dest="verb", required=True)
    pub = verbs.add_parser("pub", parents=[common], help="publish a payload, or every line of the standard input")
    pub.add_argument("payload", nargs="?", help="JSON; what is no JSON is sent as a text")
    sub = verbs.add_parser("sub", parents=[common], help="print payloads as they come; a pattern may be given")
    sub.add_argument("--replay", type=int, help="begin with the last so many messages")
    sub.add_argument("--count", type=int, help="end after so many messages")
    sub.add_argument("--envelope", action="store_true", help="print whole envelopes")
    return parser


def _connect(arguments: argparse.Namespace) -> Opening[arqonbus.Bus]:
    if arguments.token:
        return arqonbus.connect(arguments.url, kind="cli", token=arguments.token)
    return arqonbus.connect(arguments.url, kind="cli")


async def _pub(arguments: argparse.Namespace) -> int:
    async with _connect(arguments) as bus:
        if arguments.payload is not None:
            print(await bus.publish(arguments.topic, _payload(arguments.payload)), file=sys.stderr)
            return 0
        async for line in _lines(sys.stdin.fileno()):
            if line.strip():
                await bus.publish(arguments.topic, _payload(line))
    return 0


async def _lines(descriptor: int) -> AsyncIterator[str]:
    """The lines of a file, a pipe or a terminal.

    They are read by a thread that nobody waits for, so that Ctrl-C ends the program in the middle of a read; and not through
    `sys.stdin`, whose lock the end of the interpreter would want.
    """
    loop = asyncio.get_running_loop()
    chunks: asyncio.Queue[bytes] = asyncio.Queue(1)

    def read() -> None:
        chunk = b"begin"
        while chunk:
            chunk = os.read(descriptor, _CHUNK)
            try:
                asyncio.run_coroutine_threadsafe(chunks.put(chunk), loop).result()
            except (RuntimeError, concurrent.futures.CancelledError):
                return

    threading.Thread(target=read, name="stdin", daemon=True).start()
    rest = b""
    while chunk := await chunks.get():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line.decode()
    yield rest.decode()


async def _sub(arguments: argparse.Namespace) -> int:
    async with _connect(arguments) as bus, bus.join(arguments.topic, replay=arguments.replay) as topic:
        left: int | None = arguments.count
        async for item in topic.items():
            if isinstance(item, arqonbus.Gap):
                print(item, file=sys.stderr, flush=True)
            elif isinstance(item, arqonbus.Message):
                print(item.to_json() if arguments.envelope else item.raw, flush=True)
                left = left - 1 if left is not None else None
                if left == 0:
                    break
    return 0


def _payload(text: str) -> object:
    try:
        # NaN and infinity, which Python reads, are no JSON: `int` refuses them.
        return json.loads(text, parse_constant=int)
    except ValueError:
        return text.rstrip("\r\n")


if __name__ == "__main__":
    sys.exit(main())
