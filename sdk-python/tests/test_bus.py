"""What the API does, against a real server."""

import asyncio
import datetime
import logging

import pytest

import arqonbus
from arqonbus.errors import InvalidName, NoRecipient, NoResponder
from arqonbus.testing import Server, unused_url
from conftest import until


async def test_a_message_arrives_with_its_facts(arqonbus_server: Server, room: str, loop_kind: str) -> None:
    async with arqonbus.connect(arqonbus_server.url, name="ada", user="ada") as bus:
        async with bus.join(f"{room}:a") as topic:
            ack = await topic.publish({"text": "hi"}, headers={"trace": "1"}, id="m-1")
            message = await anext(aiter(topic))
        assert (message.id, message.topic, message.room, message.channel) == ("m-1", f"{room}:a", room, "a")
        assert (message.payload, message.raw, message.headers) == ({"text": "hi"}, '{"text":"hi"}', {"trace": "1"})
        assert (message.sender, message.user, message.target) == (bus.client_id, "ada", f"{room}:a")
        assert message.position is not None
        assert message.position == ack.position == arqonbus.Position(message.position.epoch, 1)
        assert (ack.durability, ack.duplicate) == ("memory", False)
        assert abs(datetime.datetime.now(datetime.timezone.utc) - message.timestamp) < datetime.timedelta(minutes=1)


async def test_many_publishes_in_flight_keep_their_order(arqonbus_server: Server, room: str, loop_kind: str) -> None:
    async with arqonbus.connect(arqonbus_server.url) as bus, bus.join(f"{room}:a") as topic:
        acks = await asyncio.gather(*(topic.publish(number) for number in range(3_000)))
        assert [ack.position.seq for ack in acks if ack.position] == list(range(1, 3_001))
        assert [(await anext(topic)).payload for _ in range(3_000)] == list(range(3_000))


async def test_the_same_id_is_stored_once(arqonbus_server: Server, room: str) -> None:
    async with arqonbus.connect(arqonbus_server.url) as bus:
        first = await bus.publish(f"{room}:a", 1, id="once")
        second = await bus.publish(f"{room}:a", 1, id="once")
        assert (second.position, second.duplicate) == (first.position, True)
        with pytest.raises(arqonbus.errors.IdConflict):
            await bus.publish(f"{room}:a", 2, id="once")


async def test_replay_and_since_begin_where_they_say(arqonbus_server: Server, room: str) -> None:
    async with arqonbus.connect(arqonbus_server.url) as bus:
        acks = [await bus.publish(f"{room}:a", number) for number in range(10)]
        async with bus.join(f"{room}:a", replay=3) as topic:
            assert [(await anext(topic)).payload for _ in range(3)] == [7, 8, 9]
        async with bus.join(f"{room}:a", since=acks[4].position) as topic:
            assert [(await anext(topic)).payload for _ in range(5)] == [5, 6, 7, 8, 9]
            assert topic.starts == {f"{room}:a": acks[4].position}
            assert topic.heads == {f"{room}:a": acks[9].position}


async def test_a_pattern_receives_from_all_its_topics(arqonbus_server: Server, room: str) -> None:
    async with arqonbus.connect(arqonbus_server.url) as bus, bus.join(f"{room}:eu.*") as topics:
        await bus.publish(f"{room}:eu.a", 1)
        await bus.publish(f"{room}:us.a", 2)
        await bus.publish(f"{room}:eu.b", 3)
        # No order is promised between topics.
        assert sorted([((m := await anext(topics)).topic, m.payload) for _ in range(2)]) == [
            (f"{room}:eu.a", 1),
            (f"{room}:eu.b", 3),
        ]


async def test_what_lies_beyond_the_end_is_a_gap(arqonbus_server: Server, room: str, caplog: pytest.LogCaptureFixture) -> None:
    async with arqonbus.connect(arqonbus_server.url) as bus:
        await bus.publish(f"{room}:a", 0)
        elsewhere = arqonbus.Position("another", 7)
        async with bus.join(f"{room}:a", since=elsewhere) as topic:
            gaps: list[arqonbus.Gap] = []
            topic.on_gap(gaps.append)
            await topic.publish(1)
            message = await anext(topic)
            assert [(gap.reason, gap.after, gap.topic) for gap in gaps] == [("epoch_changed", elsewhere, f"{room}:a")]
            assert message.position is not None
            assert gaps[0].to.epoch == message.position.epoch
        async with bus.join(f"{room}:a", since=elsewhere) as topic:
            await topic.publish(2)
            first = await anext(topic.items())
            assert isinstance(first, arqonbus.Gap)
            match first:
                case arqonbus.Gap(_, "epoch_changed"):
                    pass
                case _:
                    pytest.fail(f"{first}")
        with caplog.at_level(logging.WARNING, "arqonbus"):
            async with bus.join(f"{room}:a", since=elsewhere) as topic:
                await topic.publish(3)
                await anext(topic)
        assert "messages are missing" in caplog.text


async def test_requests_are_answered_or_refused_at_once(arqonbus_server: Server, room: str, loop_kind: str) -> None:
    async with arqonbus.connect(arqonbus_server.url) as asker, arqonbus.connect(arqonbus_server.url) as bus:
        with pytest.raises(NoResponder) as refused:
            await asker.request(f"{room}:echo", 1)
        assert (refused.value.code, refused.value.retry) == ("no_responder", "later")

        @bus.respond(f"{room}:echo")
        async def echo(request: arqonbus.Message) -> object:
            await asyncio.sleep(0)
            return {"you said": request.payload}

        async with echo:
            replies = await asyncio.gather(*(asker.request(f"{room}:echo", n) for n in range(100)))
            assert [reply.payload for reply in replies] == [{"you said": n} for n in range(100)]
        # What one connection asks of one topic is done in this order: when the answer is there, the responder has left.
        assert await bus.members(f"{room}:echo") == []
        with pytest.raises(NoResponder):
            await asker.request(f"{room}:echo", 1)


async def test_a_request_that_nobody_answers_is_unknown(arqonbus_server: Server, room: str) -> None:
    async with arqonbus.connect(arqonbus_server.url) as asker, arqonbus.connect(arqonbus_server.url) as silent:
        async with silent.join(f"{room}:a"):
            with pytest.raises(arqonbus.Unknown):
                await asker.request(f"{room}:a", 1, timeout=0.1)


async def test_private_messages_and_broadcasts_come_to_the_inbox(arqonbus_server: Server, room: str) -> None:
    async with (
        arqonbus.connect(arqonbus_server.url, user="grace") as grace,
        arqonbus.connect(arqonbus_server.url) as bus,
    ):
        async with grace.inbox() as inbox, grace.join(f"{room}:a"):
            await bus.private(grace.client_id, 1)
            await bus.private("user:grace", 2, headers={"a": "b"})
            await bus.broadcast(3, room=room)
            # No order is promised between targets.
            received = sorted([await anext(inbox) for _ in range(3)], key=lambda message: message.payload)
            assert [message.payload for message in received] == [1, 2, 3]
            assert [message.target for message in received] == [grace.client_id, "user:grace", room]
        with pytest.raises(NoRecipient):
            await bus.private("user:nobody", 1)


async def test_a_client_or_a_user_can_be_asked(arqonbus_server: Server) -> None:
    async with arqonbus.connect(arqonbus_server.url, user="hedy") as hedy, arqonbus.connect(arqonbus_server.url) as bus:

        async def answer() -> None:
            async with hedy.inbox() as inbox:
                async for request in inbox:
                    await hedy.reply(request, [request.payload])

        answering = asyncio.create_task(answer())
        assert (await bus.request_private(hedy.client_id, 1)).payload == [1]
        assert (await bus.request_private("user:hedy", 2)).payload == [2]
        with pytest.raises(NoResponder):
            await bus.request_private("user:nobody", 3)
        answering.cancel()


async def test_what_comes_without_an_inbox_is_kept_and_what_gives_way_is_told(arqonbus_server: Server) -> None:
    async with arqonbus.connect(arqonbus_server.url) as grace, arqonbus.connect(arqonbus_server.url) as bus:
        await asyncio.gather(*(bus.private(grace.client_id, number) for number in range(1_030)))
        # What was sent before has come.
        await grace.ping()
        missed: list[int] = []
        async with grace.inbox() as inbox:
            inbox.on_missed(lambda told: missed.append(told.count))
            assert [(await anext(inbox)).payload for _ in range(1_024)] == list(range(6, 1_030))
        assert missed == [6]
        await asyncio.gather(*(bus.private(grace.client_id, number) for number in range(1_030)))
        await grace.ping()
        async with grace.inbox() as inbox:
            items = inbox.items()
            match await anext(items):
                case arqonbus.Missed(count):
                    assert count == 6
                case message:
                    pytest.fail(f"{message}")
            message = await anext(items)
            assert isinstance(message, arqonbus.Message)
            assert message.payload == 6


async def test_history_is_paged_in_both_directions(arqonbus_server: Server, room: str) -> None:
    async with arqonbus.connect(arqonbus_server.url) as bus:
        acks = await asyncio.gather(*(bus.publish(f"{room}:a", number) for number in range(25)))
        forward = bus.history(f"{room}:a", page_size=10)
        assert [message.payload async for message in forward] == list(range(25))
        assert forward.gap is None
        backward = await bus.history(f"{room}:a", backward=True, limit=12, page_size=5).collect()
        assert [message.payload for message in backward] == list(range(24, 12, -1))
        part = await bus.history(f"{room}:a", since=acks[3].position, until=acks[5].position).collect()
        assert [message.payload for message in part] == [4, 5]
        since = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(hours=1)
        assert len(await bus.history(f"{room}:a", since=since).collect()) == 25


async def test_commands_show_and_change_the_bus(arqonbus_server: Server, room: str) -> None:
    async with arqonbus.connect(arqonbus_server.url, name="ada", kind="test", metadata={"k": 1}) as bus:
        await bus.create_channel(f"{room}:made", "for tests")
        assert [channel["channel"] for channel in await bus.channels(room)] == ["made"]
        assert room in [entry["room"] for entry in await bus.rooms()]
        async with bus.join(f"{room}:made"):
            members = await bus.members(f"{room}:made")
            assert [(member.get("name"), member.get("kind")) for member in members] == [("ada", "test")]
            assert (await bus.channel_info(f"{room}:made"))["members"] == 1
        assert (await bus.status())["state"] == "ready"
        assert 0 <= await bus.ping() < 10
        await bus.delete_channel(f"{room}:made")
        assert await bus.channels(room) == []
        with pytest.raises(arqonbus.Rejected):
            await bus.command("history", room=room, channel="made", limit=0)


async def test_presence_is_told_where_it_is_asked_for(arqonbus_server: Server, room: str) -> None:
    async with arqonbus.connect(arqonbus_server.url) as bus, bus.join(f"{room}:a", presence=True) as topic:
        items = topic.items()
        async with arqonbus.connect(arqonbus_server.url, name="visitor") as visitor, visitor.join(f"{room}:a"):
            seen = await anext(items)
            while isinstance(seen, arqonbus.Presence) and seen.client == bus.client_id:
                seen = await anext(items)
            assert isinstance(seen, arqonbus.Presence)
            assert (seen.joined, seen.client, seen.name) == (True, visitor.client_id, "visitor")
        left = await anext(items)
        assert isinstance(left, arqonbus.Presence)
        assert (left.joined, left.client) == (False, visitor.client_id)


async def test_a_deleted_channel_ends_its_subscription_with_an_error(arqonbus_server: Server, room: str) -> None:
    async with arqonbus.connect(arqonbus_server.url) as bus:
        topic = await bus.join(f"{room}:a")
        await topic.publish(1)
        assert (await anext(topic)).payload == 1
        await bus.delete_channel(f"{room}:a")
        with pytest.raises(arqonbus.ChannelDeleted):
            await anext(topic)
        with pytest.raises(StopAsyncIteration):
            await anext(topic)


async def test_what_cannot_be_sent_is_refused_before_it_is_sent(arqonbus_server: Server, room: str) -> None:
    async with arqonbus.connect(arqonbus_server.url) as bus:
        for topic in ("", "a", "a:b:c", "a b:c", "room:*", "ä:b"):
            with pytest.raises(arqonbus.Invalid):
                await bus.publish(topic, 1)
        with pytest.raises(arqonbus.Invalid):
            await bus.publish(f"{room}:a", 1, id="not an id")
        with pytest.raises(arqonbus.Invalid):
            await bus.publish(f"{room}:a", "x" * 2_000_000)
        with pytest.raises(TypeError, match="no such option: wrong"):
            await bus.publish(f"{room}:a", 1, wrong=1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
        with pytest.raises(TypeError, match="no such option: since, wrong"):
            await bus.request(f"{room}:a", 1, since=1, wrong=1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
        with pytest.raises(TypeError, match="no such option: wrong"):
            bus.join(f"{room}:a", wrong=1)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
        with pytest.raises(TypeError, match="no such option: presence"):
            bus.join(f"{room}:a", group="g", presence=True)  # type: ignore[call-overload]  # pyright: ignore
        with pytest.raises(TypeError, match="no such option: wrong"):
            bus.history(f"{room}:a", wrong=1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
        with pytest.raises(arqonbus.Invalid):
            await bus.join("a:b*c")
        with pytest.raises(InvalidName):
            await bus.publish("_own:a", 1)
        async with bus.join(f"{room}:a"):
            with pytest.raises(arqonbus.Invalid, match="already joined"):
                await bus.join(f"{room}:a")


async def test_a_refused_publish_without_ack_is_told(arqonbus_server: Server) -> None:
    async with arqonbus.connect(arqonbus_server.url) as bus:
        refused: list[arqonbus.ArqonBusError] = []
        bus.on_refused(refused.append)
        bus.publish_nowait("_own:a", 1)
        await until(lambda: refused)
        assert isinstance(refused[0], InvalidName)


async def test_a_drain_tells_what_was_refused_before_it_ends(arqonbus_server: Server) -> None:
    refused: list[arqonbus.ArqonBusError] = []
    async with arqonbus.connect(arqonbus_server.url) as bus:
        bus.on_refused(refused.append)
        for number in range(3):
            bus.publish_nowait("_own:a", number)
    assert [type(error) for error in refused] == [InvalidName] * 3


async def test_a_wrong_address_fails_at_once() -> None:
    with pytest.raises(arqonbus.Unreachable) as unreachable:
        await arqonbus.connect(unused_url())
    assert isinstance(unreachable.value, ConnectionError)
    assert (unreachable.value.reason, unreachable.value.retry) == ("unreachable", "later")
    with pytest.raises(arqonbus.Closed):
        await arqonbus.connect("http://127.0.0.1:1")
    with pytest.raises(arqonbus.Invalid, match="no such option"):
        await arqonbus.connect("ws://127.0.0.1:1", nonsense=1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


async def test_an_address_that_leads_nowhere_fails_at_once(arqonbus_server: Server) -> None:
    for url in ("nonsense", "127.0.0.1:9100", "ws://127.0.0.1:99999"):
        with pytest.raises(arqonbus.Invalid, match="ws://host:port"):
            await arqonbus.connect(url)
    with pytest.raises(arqonbus.Unreachable):
        await arqonbus.connect(arqonbus_server.url.replace("ws://", "wss://"))
    with pytest.raises(arqonbus.Invalid, match="PEM"):
        await arqonbus.connect("wss://127.0.0.1:1", root_certificates=b"no certificate")
    with pytest.raises(arqonbus.Invalid, match="PEM"):
        await arqonbus.connect("wss://127.0.0.1:1", root_certificates="no certificate")


async def test_a_server_that_says_no_is_not_asked_again(arqonbus_server: Server) -> None:
    states: list[str] = []
    with pytest.raises(arqonbus.ArqonBusError):
        await arqonbus.connect(arqonbus_server.url + "/no/such/path", first_attempts=0)
    assert states == []


async def test_a_token_provider_is_asked_before_each_connection(arqonbus_fresh_server: Server) -> None:
    asked: list[int] = []

    async def provide() -> str:
        asked.append(len(asked))
        await asyncio.sleep(0)
        return f"token-{len(asked)}"

    async with arqonbus.connect(arqonbus_fresh_server.url, token_provider=provide) as bus:
        assert asked == [0]
        arqonbus_fresh_server.kill()
        await until(lambda: bus.state in ("waiting", "connecting"))
        arqonbus_fresh_server.start()
        await until(lambda: bus.state == "connected")
        assert len(asked) >= 2


async def test_a_bus_that_is_closed_says_so(arqonbus_server: Server, room: str) -> None:
    bus = await arqonbus.connect(arqonbus_server.url)
    topic = await bus.join(f"{room}:a")
    await bus.drain()
    await bus.aclose()
    assert bus.state == "closed"
    with pytest.raises(StopAsyncIteration):
        await anext(topic)
    with pytest.raises(arqonbus.Closed):
        await bus.publish(f"{room}:a", 1)
    with pytest.raises(arqonbus.Closed):
        bus.publish_nowait(f"{room}:a", 1)


async def test_states_are_told(arqonbus_fresh_server: Server) -> None:
    async with arqonbus.connect(arqonbus_fresh_server.url, backoff=(0.01, 0.05)) as bus:
        states: list[str] = []
        bus.on_state(states.append)
        arqonbus_fresh_server.kill()
        await until(lambda: "waiting" in states or "connecting" in states)
        assert bus.last_loss
        arqonbus_fresh_server.start()
        await until(lambda: bus.state == "connected" and states[-1:] == ["connected"])
    assert states[-1] in ("closed", "draining", "connected")
