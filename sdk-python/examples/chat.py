"""A chat room in a terminal: `python chat.py ada ws://127.0.0.1:9100`; what you type goes to everybody, Ctrl-C or Ctrl-D leaves.

The terminal has the main thread, so that Ctrl-C interrupts it at once; what comes is printed by another one. Give `--once TEXT` to
say one thing, wait until it has come back, and leave.
"""

import argparse
import sys
import threading

import arqonbus.sync as arqonbus


def chat(name: str, url: str, once: str | None) -> None:
    """Writes until the input ends, and reads at the same time."""
    with arqonbus.connect(url, name=name) as bus, bus.join("chat:lobby", replay=10) as lobby:
        if once is not None:
            lobby.publish({"from": name, "text": once})
            read(lobby, once)
            return
        threading.Thread(target=read, args=(lobby, None)).start()
        for line in sys.stdin:
            lobby.publish({"from": name, "text": line.rstrip()})


def read(lobby: arqonbus.Topic, until: str | None) -> None:
    """Prints what comes until the lobby is left, and says where something is missing."""
    for item in lobby.items():
        if isinstance(item, arqonbus.Gap):
            print(f"… some messages are missing ({item.reason})")
        elif isinstance(item, arqonbus.Message):
            print(f"{item.payload['from']}: {item.payload['text']}", flush=True)
            if item.payload["text"] == until:
                return


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name")
    parser.add_argument("url", nargs="?", default="ws://127.0.0.1:9100")
    parser.add_argument("--once")
    arguments = parser.parse_args()
    try:
        chat(arguments.name, arguments.url, arguments.once)
    except KeyboardInterrupt:
        sys.exit(130)
