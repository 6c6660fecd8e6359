"""Client of ArqonBus, a small, sharp, reliable message bus over WebSocket.

```python
async with arqonbus.connect("ws://127.0.0.1:9100") as bus:
    async with bus.join("science:explore", replay=10) as topic:
        await topic.publish({"text": "hi"})
        async for message in topic:
            print(message.payload)
            break
```

Everything is asynchronous here; `arqonbus.sync` has the same names for scripts, notebooks and threads.
"""

from __future__ import annotations

import os as _os

from ._arqonbus import Ack, Deleted, Gap, Lost, Message, Missed, Position, Presence, __version__, after_fork_in_child
from ._bus import Bus, connect
from ._history import History
from ._jobs import Job, Jobs, WorkItem
from ._options import ConnectOptions, GroupOptions, HistoryOptions, JoinOptions, RequestOptions, SendOptions, State
from ._respond import Responder
from ._topic import Inbox, Item, Topic
from .errors import (
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
    "__version__",
    "connect",
]

if hasattr(_os, "register_at_fork"):
    _os.register_at_fork(after_in_child=after_fork_in_child)
