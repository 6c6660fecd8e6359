"""A real server for your own tests; the pytest fixtures of the package.

The plugin is active as soon as the package is installed beside pytest. It starts the `arqonbus` command: the one that
`ARQONBUS_BIN` names, or the one on the `PATH`.

```python
def test_something(arqonbus_server):
    with arqonbus.sync.connect(arqonbus_server.url) as bus:
        ...
```
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Server", "find_server"]

# A server that says nothing for so many seconds will not.
_START_SECONDS = 30.0


def find_server() -> str:
    """The path of the `arqonbus` command. `FileNotFoundError` where there is none."""
    found = os.environ.get("ARQONBUS_BIN") or shutil.which("arqonbus")
    if not found:
        raise FileNotFoundError("no `arqonbus` command: set ARQONBUS_BIN to it, or put it on the PATH")
    return found


class Server:
    """A server process on a free port of this machine. `with Server() as server: connect(server.url)`."""

    def __init__(self, *args: str, binary: str | None = None) -> None:
        self._binary = binary or find_server()
        self._args: Sequence[str] = args
        self._process: subprocess.Popen[str] | None = None
        self._port = 0
        self.url = ""
        """Where it listens: `ws://127.0.0.1:…`."""

    def start(self) -> Self:
        """Starts it, the second time on the same port, and waits until it listens."""
        command = [
            self._binary,
            "serve",
            "--port",
            str(self._port),
            "--admin",
            "127.0.0.1:0",
            "--announce",
            *self._args,
        ]
        # What configures some server of this machine is not meant for this one.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ARQONBUS_")}
        self._process = process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
            text=True,
            env=environment,
        )
        assert process.stdout is not None
        watchdog = threading.Timer(_START_SECONDS, process.kill)
        watchdog.start()
        try:
            line = process.stdout.readline()
        finally:
            watchdog.cancel()
        if not line:
            self.kill()
            raise RuntimeError(f"the server did not start: {' '.join(command)}")
        listen = str(json.loads(line)["listen"])
        self._port = int(listen.rpartition(":")[2])
        self.url = f"ws://{listen}"
        return self

    @property
    def pid(self) -> int:
        """The process."""
        if self._process is None:
            raise RuntimeError("the server is not running")
        return self._process.pid

    def stop(self) -> None:
        """Lets it drain, and waits for its end."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Ends it as a power cut would."""
        self._end(signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(how)
        try:
            process.wait(_START_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.kill()


def unused_url() -> str:
    """An address of this machine where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"ws://127.0.0.1:{probe.getsockname()[1]}"
