"""The commands of the protocol that are no messages and no subscriptions."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from . import _arqonbus
from ._link import Link
from .errors import Invalid

if TYPE_CHECKING:
    from . import wire


class Commands:
    """What a bus may be asked for; `arqonbus.wire` has the types of the answers."""

    _native: _arqonbus.Bus
    _link: Link

    async def command(self, command: str, **args: Any) -> Any:
        """Sends any command of the protocol and gives its result; `arqonbus.wire` has the types."""
        future = self._link.future()
        self._native.command(command, {name: arg for name, arg in args.items() if arg is not None}, future)
        return await future

    async def ping(self) -> float:
        """Asks for a sign of life and gives the seconds that it took."""
        loop = self._link.loop
        began = loop.time()
        await self.command("ping")
        return loop.time() - began

    async def status(self) -> wire.StatusResult:
        """Shows the state of the bus."""
        return await self.command("status")  # type: ignore[no-any-return]

    async def rooms(self) -> list[wire.RoomSummary]:
        """Lists the rooms."""
        return [room async for room in self._listed("list_rooms", "rooms", "room")]

    async def channels(self, room: str) -> list[wire.ChannelSummary]:
        """Lists the channels of a room."""
        return [channel async for channel in self._listed("list_channels", "channels", "channel", room=room)]

    async def members(self, topic: str) -> list[wire.Member]:
        """Lists who is joined to a topic."""
        room, channel = _parts(topic)
        return [member async for member in self._listed("members", "members", "client", room=room, channel=channel)]

    async def channel_info(self, topic: str) -> wire.ChannelInfoResult:
        """Shows one channel: members, head, what history holds."""
        room, channel = _parts(topic)
        return await self.command("channel_info", room=room, channel=channel)  # type: ignore[no-any-return]

    async def create_channel(self, topic: str, description: str | None = None) -> wire.CreateChannelResult:
        """Creates a channel; one that exists stays as it is."""
        room, channel = _parts(topic)
        return await self.command("create_channel", room=room, channel=channel, description=description)  # type: ignore[no-any-return]

    async def delete_channel(self, topic: str) -> wire.DeleteChannelResult:
        """Deletes a channel with its history."""
        room, channel = _parts(topic)
        return await self.command("delete_channel", room=room, channel=channel)  # type: ignore[no-any-return]

    async def disconnect(self, *, client: str | None = None, user: str | None = None) -> wire.DisconnectResult:
        """Closes the connections of a client or user; needs the permission."""
        return await self.command("disconnect", client=client, user=user)  # type: ignore[no-any-return]

    async def _listed(self, command: str, list_name: str, key: str, **args: str) -> AsyncIterator[Any]:
        """All pages of a listing."""
        after: str | None = None
        while True:
            result = await self.command(command, after=after, **args)
            for entry in result[list_name]:
                yield entry
            after = result.get("next")
            if after is None:
                return


def _parts(topic: str) -> tuple[str, str]:
    room, colon, channel = topic.partition(":")
    if not colon:
        raise Invalid("a topic is room:channel")
    return room, channel
