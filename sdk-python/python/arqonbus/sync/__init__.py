"""The same names without asyncio: for scripts, notebooks, Django and threads.

```python
import arqonbus.sync as arqonbus

with arqonbus.connect("ws://127.0.0.1:9100") as bus:
    with bus.join("science:explore", replay=10) as topic:
        topic.publish({"text": "hi"})
        for message in topic:
            print(message.payload)
            break
```

Each bus has one thread with an event loop of its own. Its methods may be called from any thread; Ctrl-C interrupts every wait.
"""

from __future__ import annotations

from .._arqonbus import Ack, Deleted, Gap, Lost, Message, Missed, Position, Presence
from .._options import ConnectOptions, GroupOptions, HistoryOptions, JoinOptions, RequestOptions, SendOptions, State
from .._topic import Item
from ..errors import (
    ArqonBusError,
    ChannelDeleted,
    Closed,
    DecodeError,
    Forked,
    Full,
    Invalid,
    NotSent,
    Rejected,
    Unknown,
    Unreachable,
)
from ._bus import Bus, Responder, connect
from ._jobs import Job, Jobs, WorkItem
from ._streams import History, Inbox, Topic

__all__ = [
    "Ack",
    "ArqonBusError",
    "Bus",
    "ChannelDeleted",
    "Closed",
    "ConnectOptions",
    "DecodeError",
    "Deleted",
    "Forked",
    "Full",
    "Gap",
    "GroupOptions",
    "History",
    "HistoryOptions",
    "Inbox",
    "Invalid",
    "Item",
    "Job",
    "Jobs",
    "JoinOptions",
    "Lost",
    "Message",
    "Missed",
    "NotSent",
    "Position",
    "Presence",
    "Rejected",
    "RequestOptions",
    "Responder",
    "SendOptions",
    "State",
    "Topic",
    "Unknown",
    "Unreachable",
    "WorkItem",
    "connect",
]
